// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
)

// gadget is a USB modem (CDC ACM) provided by this kernel, with a virtual cable
// to its own host controller: /dev/ttyACM0 is the host's end of the line, far
// the device's.
type gadget struct {
	t   testing.TB
	dir string
	udc string
	far string
}

const gadgetName = "Test modem"

func newGadget(t testing.TB) *gadget {
	t.Helper()
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	require.NotEmpty(t, udcs)
	g := &gadget{t: t, dir: "/sys/kernel/config/usb_gadget/pnpdr", udc: udcs[0].Name()}
	t.Cleanup(g.remove)
	for _, dir := range []string{"strings/0x409", "configs/c.1", "functions/acm.0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(g.dir, dir), 0o755))
	}
	g.set("idVendor", "0x1209")
	g.set("idProduct", "0x0001")
	g.set("bcdDevice", "0x0123")
	g.set("strings/0x409/manufacturer", "pnpdr")
	g.set("strings/0x409/product", gadgetName)
	g.set("strings/0x409/serialnumber", "A1")
	require.NoError(t, os.Symlink(filepath.Join(g.dir, "functions/acm.0"), filepath.Join(g.dir, "configs/c.1/acm.0")))
	port, err := os.ReadFile(filepath.Join(g.dir, "functions/acm.0/port_num"))
	require.NoError(t, err)
	g.far = "/dev/ttyGS" + strings.TrimSpace(string(port))
	return g
}

func (g *gadget) set(file, value string) {
	g.t.Helper()
	require.NoError(g.t, os.WriteFile(filepath.Join(g.dir, file), []byte(value+"\n"), 0o644))
}

func (g *gadget) plug()   { g.t.Helper(); g.set("UDC", g.udc) }
func (g *gadget) unplug() { g.t.Helper(); g.set("UDC", "") }

func (g *gadget) remove() {
	_ = os.WriteFile(filepath.Join(g.dir, "UDC"), []byte("\n"), 0o644) // it fails if nothing is plugged in
	// configfs insists on this order, and removes the other folders itself.
	for _, path := range []string{"configs/c.1/acm.0", "configs/c.1", "functions/acm.0", "strings/0x409", ""} {
		if err := os.Remove(filepath.Join(g.dir, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.t.Errorf("removing the gadget: %v", err)
		}
	}
}

// openFar opens the device's end of the line for raw bytes. While it is open,
// the host sees a carrier.
func (g *gadget) openFar() *os.File {
	g.t.Helper()
	far, err := os.OpenFile(g.far, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(g.t, err)
	g.t.Cleanup(func() { far.Close() })
	tio := termios(g.t, far)
	tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0
	raw, err := far.SyscallConn()
	require.NoError(g.t, err)
	require.NoError(g.t, raw.Control(func(fd uintptr) {
		require.NoError(g.t, unix.IoctlSetTermios(int(fd), unix.TCSETS, &tio))
	}))
	require.NoError(g.t, far.SetDeadline(time.Now().Add(servertest.Patience)))
	return far
}

func termios(t testing.TB, f *os.File) (tio unix.Termios) {
	t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		got, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		require.NoError(t, err)
		tio = *got
	}))
	return tio
}

// readText reads n bytes from a device's end of a line. It skips zeros before
// them, which were still on their way when something was unplugged.
func readText(t testing.TB, f *os.File, n int) string {
	t.Helper()
	got := make([]byte, 0, n)
	for len(got) < n {
		k, err := f.Read(got[len(got):n])
		require.NoError(t, err, "after %q", got)
		if got = got[:len(got)+k]; len(bytes.Trim(got, "\x00")) == 0 {
			got = got[:0]
		} else if got[0] == 0 {
			got = append(make([]byte, 0, n), bytes.TrimLeft(got, "\x00")...)
		}
	}
	return string(got)
}

// wire records the control requests on all USB buses (usbmon).
type wire struct {
	t    testing.TB
	file *os.File
	text strings.Builder
}

func newWire(t testing.TB) *wire {
	t.Helper()
	file, err := os.OpenFile("/sys/kernel/debug/usb/usbmon/0u", os.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return &wire{t: t, file: file}
}

// wait waits for a control request with this setup packet, and data if it has
// any.
func (w *wire) wait(requestType, request, value, index uint16, data string) {
	w.t.Helper()
	want := fmt.Sprintf(" s %02x %02x %04x %04x %04x", requestType, request, value, index, len(data))
	if data != "" {
		// usbmon prints words of four bytes.
		want += fmt.Sprintf(" %d =", len(data))
		for i := 0; i < len(data); i += 4 {
			want += fmt.Sprintf(" %x", data[i:min(i+4, len(data))])
		}
	}
	fd := int(w.file.Fd())
	b := make([]byte, 64<<10)
	for deadline := time.Now().Add(servertest.Patience); !strings.Contains(w.text.String(), want); {
		require.True(w.t, time.Now().Before(deadline), "%q is not among\n%s", want, w.text.String())
		n, err := unix.Read(fd, b)
		if n > 0 {
			w.text.Write(b[:n])
		} else if err != nil && err != unix.EAGAIN {
			require.NoError(w.t, err)
		} else {
			time.Sleep(5 * time.Millisecond)
		}
	}
	w.text.Reset()
}
