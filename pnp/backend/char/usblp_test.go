// SPDX-License-Identifier: Apache-2.0

package char

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// usbPrinter is a USB printer that this kernel provides (the gadget function printer),
// with a virtual cable to its own host controller. It is paused unless the test reads
// from far.
type usbPrinter struct {
	t   *testing.T
	dir string
	udc string
	far string
}

const usblpNode = "/dev/usb/lp0"

func newUSBPrinter(t *testing.T) *usbPrinter {
	t.Helper()
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: the kernel's driver of USB printers, which scripts/vm/tests uses in a virtual machine")
	}
	out, err := exec.Command("modprobe", "-a", "dummy_hcd", "libcomposite", "usb_f_printer", "usblp").CombinedOutput()
	require.NoError(t, err, string(out))
	if _, err := os.Stat("/sys/kernel/config/usb_gadget"); err != nil {
		require.NoError(t, unix.Mount("none", "/sys/kernel/config", "configfs", 0, ""))
	}
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	require.NotEmpty(t, udcs)
	p := &usbPrinter{t: t, dir: "/sys/kernel/config/usb_gadget/printer", udc: udcs[0].Name(), far: "/dev/g_printer0"}
	t.Cleanup(p.remove)
	for _, dir := range []string{"strings/0x409", "configs/c.1", "functions/printer.0"} {
		require.NoError(t, os.MkdirAll(filepath.Join(p.dir, dir), 0o755))
	}
	p.set("idVendor", "0x1209")
	p.set("idProduct", "0x0002")
	p.set("functions/printer.0/q_len", "1")
	require.NoError(t, os.Symlink(filepath.Join(p.dir, "functions/printer.0"), filepath.Join(p.dir, "configs/c.1/printer.0")))
	p.plug()
	return p
}

func (p *usbPrinter) set(file, value string) {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, file), []byte(value+"\n"), 0o644))
}

func (p *usbPrinter) plug() {
	p.t.Helper()
	p.set("UDC", p.udc)
	for _, node := range []string{usblpNode, p.far} {
		require.Eventually(p.t, func() bool { _, err := os.Stat(node); return err == nil }, patience, time.Millisecond, node)
	}
}

func (p *usbPrinter) unplug() { p.t.Helper(); p.set("UDC", "") }

func (p *usbPrinter) remove() {
	_ = os.WriteFile(filepath.Join(p.dir, "UDC"), []byte("\n"), 0o644) // it fails if nothing is plugged in
	// configfs insists on this order, and removes the other folders itself.
	for _, path := range []string{"configs/c.1/printer.0", "configs/c.1", "functions/printer.0", "strings/0x409", ""} {
		if err := os.Remove(filepath.Join(p.dir, path)); err != nil && !os.IsNotExist(err) {
			p.t.Errorf("removing the gadget: %v", err)
		}
	}
}

// print takes n bytes, as a printer that is not paused any more.
func (p *usbPrinter) print(n int) []byte {
	p.t.Helper()
	far, err := os.OpenFile(p.far, os.O_RDWR, 0)
	require.NoError(p.t, err)
	defer far.Close()
	require.NoError(p.t, far.SetDeadline(time.Now().Add(patience)))
	got := make([]byte, n)
	_, err = io.ReadFull(far, got)
	require.NoError(p.t, err)
	return got
}

func openUSBLP(t *testing.T) (pnp.Handle, error) {
	t.Helper()
	d, err := New(backend.Source{Path: usblpNode})
	require.NoError(t, err)
	return d.Open(acceptance.ReadWrite)
}

func await(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("never completed")
		panic("unreachable")
	}
}

// TestUSBLPLosesNothing: a paused printer gets everything that was written, also if the
// handle is closed meanwhile, and the next job can begin at once.
func TestUSBLPLosesNothing(t *testing.T) {
	p := newUSBPrinter(t)
	h, err := openUSBLP(t)
	require.NoError(t, err)
	data := acceptance.Pattern(20000)
	done := submit(h, &pnp.Request{Op: pnp.OpWrite, In: data})
	time.Sleep(100 * time.Millisecond) // to test more; it passes without
	require.Empty(t, done)
	require.Equal(t, data, p.print(len(data)))
	require.Equal(t, result{pnp.S_OK, len(data)}, await(t, done))

	for i := range 20 {
		// A multiple of 512 bytes is no short packet, which the gadget waits for.
		page := acceptance.Pattern(504)[:400+i]
		done = submit(h, &pnp.Request{Op: pnp.OpWrite, In: page})
		require.Eventually(t, func() bool {
			h.(*handle).q.Lock()
			defer h.(*handle).q.Unlock()
			return h.(*handle).inDriver || len(done) > 0
		}, patience, time.Millisecond)
		released := make(chan struct{})
		h.Close(func() { close(released) })
		next := make(chan pnp.Handle, 1)
		go func() {
			h, err := openUSBLP(t)
			if err != nil {
				t.Error(err)
			}
			next <- h
		}()
		require.Equal(t, page, p.print(len(page)))
		<-released
		if h = <-next; h == nil {
			return
		}
	}
	closed(h)
}

// TestUSBLPUnplug: whatever is pending or comes just afterwards says so.
func TestUSBLPUnplug(t *testing.T) {
	p := newUSBPrinter(t)
	for range 10 {
		h, err := openUSBLP(t)
		require.NoError(t, err)
		read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)})
		write := submit(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 20000)})
		time.Sleep(10 * time.Millisecond)
		opens := make(chan error, 64)
		go func() {
			defer close(opens)
			for range cap(opens) {
				h, err := openUSBLP(t) // busy, and then gone
				if err == nil {
					closed(h)
				}
				opens <- err
			}
		}()
		p.unplug()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, read).hr.Name())
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, write).hr.Name())
		for op, r := range map[string]*pnp.Request{
			"read":  {Op: pnp.OpRead, Out: make([]byte, 64)},
			"write": {Op: pnp.OpWrite, In: make([]byte, 64)},
		} {
			require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, submit(h, r)).hr.Name(), op)
		}
		for err := range opens {
			hr := pnp.HRESULTOf(err)
			require.Contains(t, []pnp.HRESULT{pnp.ERROR_BUSY, pnp.ERROR_DEVICE_NOT_CONNECTED}, hr, "%v", err)
		}
		_, err = openUSBLP(t)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name())
		closed(h)
		p.plug()
	}
}
