// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
)

// TestRS485: a program of RS-485 has the client drive RTS.
func TestRS485(t *testing.T) {
	var flow atomic.Uint32 // FlowReplace
	var refuse atomic.Bool
	var moved atomic.Int32 // times that RTS was moved
	m := porttest.NewForged("meter", func(r *pnp.Request) {
		switch r.Code {
		case serial.IOCTL_SERIAL_SET_HANDFLOW:
			if refuse.Load() {
				r.Complete(pnp.ERROR_NOT_SUPPORTED, 0)
				return
			}
			flow.Store(order.Uint32(r.In[4:]))
		case serial.IOCTL_SERIAL_SET_RTS, serial.IOCTL_SERIAL_CLR_RTS:
			moved.Add(1)
		}
		porttest.Obey(r)
	})
	b := newBench(t, m)
	o := b.mustOpen()
	flags := func(cmd uint32, set ...uint32) (uint32, unix.Errno) {
		in := make([]byte, 0, rs485Size)
		for _, w := range append(set, make([]uint32, 8-len(set))...) {
			in = order.AppendUint32(in, w)
		}
		if set == nil {
			in = nil
		}
		out, errno := o.ioctl(bg, cmd, 0x1000, in)
		if errno != 0 {
			return 0, errno
		}
		require.Equal(t, make([]byte, rs485Size-4), out[4:], "there are no delays")
		return order.Uint32(out), 0
	}
	is := func(want uint32) {
		t.Helper()
		got, errno := flags(unix.TIOCGRS485)
		require.Zero(t, errno)
		require.Equal(t, want, got)
	}
	is(0)
	require.EqualValues(t, serial.SERIAL_RTS_CONTROL, flow.Load())
	const on = rs485Enabled | rs485RTSOnSend
	for _, bad := range []uint32{rs485Enabled, rs485Enabled | rs485RTSAfterSend, on | rs485RTSAfterSend} {
		_, errno := flags(unix.TIOCSRS485, bad)
		require.Equal(t, unix.EINVAL, errno)
	}
	is(0)
	got, errno := flags(unix.TIOCSRS485, on, 5, 5)
	require.Zero(t, errno)
	require.EqualValues(t, on|rs485RXDuringTX, got)
	is(on | rs485RXDuringTX)
	require.EqualValues(t, serial.SERIAL_TRANSMIT_TOGGLE, flow.Load())
	// Programs do not move RTS then, and other settings leave it as it is.
	moves := moved.Load()
	_, errno = o.ioctl(bg, unix.TIOCMBIC, 0x1000, order.AppendUint32(nil, unix.TIOCM_RTS))
	require.Zero(t, errno)
	o.change(unix.TCSETS2, func(s *unix.Termios) { s.Iflag |= unix.IXON })
	require.EqualValues(t, serial.SERIAL_TRANSMIT_TOGGLE|serial.SERIAL_AUTO_TRANSMIT, flow.Load())
	o.change(unix.TCSETS2, func(s *unix.Termios) { s.Iflag &^= unix.IXON; setSpeed(s, 0) })
	o.change(unix.TCSETS2, func(s *unix.Termios) { setSpeed(s, 9600) })
	// It is so at the next open, too.
	o.close()
	b.eventually("close", func() bool { return b.dev.Stats().Open == 0 })
	flow.Store(0)
	o = b.mustOpen()
	require.EqualValues(t, serial.SERIAL_TRANSMIT_TOGGLE, flow.Load())
	is(on | rs485RXDuringTX)
	require.Equal(t, moves, moved.Load())
	// A client that refuses.
	refuse.Store(true)
	_, errno = flags(unix.TIOCSRS485, 0)
	require.Equal(t, unix.EOPNOTSUPP, errno)
	is(on | rs485RXDuringTX)
	refuse.Store(false)
	got, errno = flags(unix.TIOCSRS485, 0)
	require.Zero(t, errno)
	require.Zero(t, got)
	require.EqualValues(t, serial.SERIAL_RTS_CONTROL, flow.Load())
}
