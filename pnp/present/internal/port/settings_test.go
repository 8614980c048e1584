// SPDX-License-Identifier: Apache-2.0

package port

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
)

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		cflag uint32
		want  Frame
		text  string
	}{
		{unix.CS8, Frame{serial.STOP_BIT_1, serial.NO_PARITY, 8}, "8N1"},
		{unix.CS7 | unix.PARENB, Frame{serial.STOP_BIT_1, serial.EVEN_PARITY, 7}, "7E1"},
		{unix.CS7 | unix.PARENB | unix.PARODD | unix.CSTOPB, Frame{serial.STOP_BITS_2, serial.ODD_PARITY, 7}, "7O2"},
		{unix.CS6 | unix.PARENB | unix.CMSPAR, Frame{serial.STOP_BIT_1, serial.SPACE_PARITY, 6}, "6S1"},
		{unix.CS8 | unix.PARENB | unix.CMSPAR | unix.PARODD, Frame{serial.STOP_BIT_1, serial.MARK_PARITY, 8}, "8M1"},
		{unix.CS8 | unix.PARODD, Frame{serial.STOP_BIT_1, serial.NO_PARITY, 8}, "8N1"},
		{unix.CS5 | unix.CSTOPB, Frame{serial.STOP_BITS_1_5, serial.NO_PARITY, 5}, "5N1.5"},
	} {
		require.Equal(t, c.want, frameOf(c.cflag), c.text)
		require.Equal(t, c.text, c.want.String())
	}
}

func TestParseFrame(t *testing.T) {
	for _, s := range []string{"8N1", "7E1", "7O2", "6S1", "8M2", "5N1"} {
		f, err := ParseFrame(s)
		require.NoError(t, err)
		require.Equal(t, s, f.String())
	}
	f, err := ParseFrame("7e1")
	require.NoError(t, err)
	require.Equal(t, "7E1", f.String())
	f, err = ParseFrame("5N2")
	require.NoError(t, err)
	require.Equal(t, uint8(serial.STOP_BITS_1_5), f.StopBits)
	for _, s := range []string{"", "8N", "8N12", "9N1", "4N1", "8X1", "8N3", "8N0", "\x00\x00\x00", "8-1"} {
		_, err := ParseFrame(s)
		require.Error(t, err, s)
	}
}

// TestFlowControl: the structures are those that a port of Windows accepts.
func TestFlowControl(t *testing.T) {
	settings := func(edit func(*unix.Termios)) Settings {
		tio := InitialTermios()
		edit(&tio)
		return SettingsOf(&tio)
	}
	for _, c := range []struct {
		edit func(*unix.Termios)
		want []byte
	}{
		{func(*unix.Termios) {}, u32s(0x01, 0x40, 2048, 512)},
		{func(s *unix.Termios) { s.Cflag |= unix.CRTSCTS }, u32s(0x09, 0x80, 2048, 512)},
		{func(s *unix.Termios) { s.Iflag |= unix.IXON }, u32s(0x01, 0x41, 2048, 512)},
		{func(s *unix.Termios) { s.Iflag |= unix.IXOFF }, u32s(0x01, 0x42, 2048, 512)},
	} {
		s := settings(c.edit)
		require.Equal(t, c.want, s.handflow())
		require.Equal(t, []byte{0, 0, 0, 0, 0x11, 0x13}, s.chars())
	}
}
