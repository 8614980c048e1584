// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// blocking are requests that wait if the device neither sends nor answers.
var blocking = []acceptance.Template{
	{Name: "read", Op: pnp.OpRead, Len: 64},
	{Name: "get feature", Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, In: []byte{0}, Len: 64},
}

// TestSuite runs the acceptance suite on a device that holds whatever can block.
func TestSuite(t *testing.T) {
	for _, c := range []struct {
		node string
		fake func(t testing.TB, descriptor []byte) *fake
	}{{"file", newFuseFake}, {"memory", newMemoryFake}} {
		t.Run(c.node, func(t *testing.T) {
			acceptance.Run(t, acceptance.Fixture{Stream: true, New: func(t *testing.T) acceptance.Instance {
				return blockingInstance(c.fake(t, bytewise))
			}})
		})
	}
}

func blockingInstance(f *fake) acceptance.Instance {
	f.hold()
	s := &byteStream{Device: f.device(false), report: func(b byte) { f.feed(b) }}
	return acceptance.Instance{
		Device:   s,
		ReadOnly: f.device(true),
		Feed:     s.feed,
		Blocking: append([]acceptance.Template{
			{Name: "write", Op: pnp.OpWrite, Len: 64},
			{Name: "set output", Op: pnp.OpIOControl, Code: IOCTL_HID_SET_OUTPUT_REPORT, In: make([]byte, 64)},
		}, blocking...),
		Unplug:  f.unplug,
		Unstick: f.release,
		Controls: []acceptance.Control{
			{Template: acceptance.Template{Op: pnp.OpIOControl, Code: IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, Len: 8},
				Out: []byte{0, 2, 0, 0}}, // set by byteStream
		},
	}
}

// transact submits a request and waits for its result.
func transact(h pnp.Handle, r *pnp.Request) (hr pnp.HRESULT, n int) {
	got := within(start(h, r))
	return got.hr, got.n
}

// within waits for a result; it ends a test that hangs.
func within(done <-chan ending) ending {
	select {
	case e := <-done:
		return e
	case <-time.After(30 * time.Second):
		panic("a request never completed")
	}
}

// happens waits for a channel to be closed; it ends a test that hangs.
func happens(what string, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		panic("never happened: " + what)
	}
}

type ending struct {
	hr pnp.HRESULT
	n  int
}

// start submits a request. The channel gets its result.
func start(h pnp.Handle, r *pnp.Request) <-chan ending {
	done := make(chan ending, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { done <- ending{hr, n} })
	h.Submit(r)
	return done
}

func read(h pnp.Handle, n int) (string, []byte) {
	b := bytes.Repeat([]byte{0xCD}, n)
	hr, n := transact(h, &pnp.Request{Op: pnp.OpRead, Out: b})
	return hr.Name(), b[:n]
}

func write(h pnp.Handle, b ...byte) (string, int) {
	hr, n := transact(h, &pnp.Request{Op: pnp.OpWrite, In: b})
	return hr.Name(), n
}

func control(h pnp.Handle, code uint32, in []byte, out int) (string, []byte) {
	return controlSending(h, code, in, make([]byte, out))
}

// controlSending is control with an output buffer that the server has sent.
func controlSending(h pnp.Handle, code uint32, in, out []byte) (string, []byte) {
	hr, n := transact(h, &pnp.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: out})
	return hr.Name(), out[:n]
}

func open(t testing.TB, d pnp.Device) pnp.Handle {
	t.Helper()
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	t.Cleanup(func() { h.Close(func() {}) })
	return h
}

// arrived waits until n reports are in the queue of h.
func arrived(t testing.TB, h pnp.Handle, n int) {
	t.Helper()
	in, q := &h.(*handle).input, h.(*handle).q
	require.Eventually(t, func() bool {
		q.Lock()
		defer q.Unlock()
		return len(in.reports) == n
	}, 20*time.Second, time.Millisecond)
}

var invalidUserBuffer = ERROR_INVALID_USER_BUFFER.Name()

func TestInformation(t *testing.T) {
	f := newFake(t, withIDs)
	f.set(func() { f.facts = facts{bus: 3, vendor: 0x1209, product: 0xABCD, productName: "Gerät 𝄞"} })
	f.sysfs = makeSysfs(t, "usb1/1-2/1-2:1.0/0003:1209:ABCD.0001", map[string]string{
		"usb1/1-2/1-2:1.0/bInterfaceNumber": "00\n",
		"usb1/1-2/bcdDevice":                "0123\n",
		"usb1/1-2/manufacturer":             "Zürich\n",
	})
	h := open(t, f.device(false))
	hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 13)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0x09, 0x12, 0xCD, 0xAB, 0x23, 0x01}, b[6:])
	hr, _ = control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 11)
	require.Equal(t, invalidUserBuffer, hr)

	identity := hidreport.Identity{Bus: 3, Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: withIDs}.Append(nil)
	hr, b = control(h, hidreport.IOCTL_PNPDR_HID_GET_IDENTITY, nil, hidreport.MaxIdentity)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, identity, b)
	hr, b = control(h, hidreport.IOCTL_PNPDR_HID_GET_IDENTITY, nil, len(identity)-1)
	require.Equal(t, invalidUserBuffer, hr)
	require.Empty(t, b)

	for code, want := range map[uint32]string{
		IOCTL_HID_GET_MANUFACTURER_STRING: "Zürich\x00",
		IOCTL_HID_GET_PRODUCT_STRING:      "Gerät 𝄞\x00",
	} {
		n := 2 * len(utf16.Encode([]rune(want)))
		for _, room := range []int{n, 1000} {
			hr, b := control(h, code, nil, room)
			require.Equal(t, "S_OK", hr)
			var units []uint16
			for i := 0; i < len(b); i += 2 {
				units = append(units, binary.LittleEndian.Uint16(b[i:]))
			}
			require.Equal(t, want, string(utf16.Decode(units)))
		}
		for _, room := range []int{0, n - 1} {
			hr, b := control(h, code, nil, room)
			require.Equal(t, invalidUserBuffer, hr)
			require.Empty(t, b)
		}
	}
	hr, _ = control(h, IOCTL_HID_GET_SERIALNUMBER_STRING, nil, 1000)
	require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
	for code, want := range map[uint32]string{
		IOCTL_HID_GET_INDEXED_STRING:      "ERROR_NOT_SUPPORTED",
		IOCTL_GET_PHYSICAL_DESCRIPTOR:     "ERROR_NOT_SUPPORTED",
		IOCTL_HID_GET_POLL_FREQUENCY_MSEC: "ERROR_NOT_SUPPORTED",
		0xB01FF:                           "ERROR_INVALID_FUNCTION",
		0x544004:                          "ERROR_INVALID_FUNCTION", // of the driver for scanners
	} {
		hr, _ := control(h, code, nil, 100)
		require.Equal(t, want, hr)
	}
	f.unplug()
	hr, _ = control(h, IOCTL_HID_GET_PRODUCT_STRING, nil, 100)
	require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
}

// TestCollectionDescriptor gets the preparsed data, in the length that
// IOCTL_HID_GET_COLLECTION_INFORMATION says. There is none if there are several
// top-level collections, or if Windows' layout is not known.
func TestCollectionDescriptor(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		known      bool
	}{
		"without ids":         {withoutIDs, true},
		"with ids":            {withIDs, true},
		"two collections":     {together, false},
		"a reserved item":     {append([]byte{0x0C}, withIDs...), false},
		"only feature report": {featureOnly, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, newFake(t, c.descriptor).device(false))
			hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)
			require.Equal(t, "S_OK", hr)
			n := int(binary.LittleEndian.Uint32(b))
			if !c.known {
				require.Zero(t, n)
				hr, b = control(h, IOCTL_HID_GET_COLLECTION_DESCRIPTOR, nil, 5000)
				require.Equal(t, "ERROR_NOT_SUPPORTED", hr)
				require.Empty(t, b)
				return
			}
			want, err := hidreport.Preparsed(c.descriptor, 0)
			require.NoError(t, err)
			require.Len(t, want, n)
			for _, room := range []int{n, 5000} {
				hr, b = control(h, IOCTL_HID_GET_COLLECTION_DESCRIPTOR, nil, room)
				require.Equal(t, "S_OK", hr)
				require.Equal(t, want, b)
			}
			hr, b = control(h, IOCTL_HID_GET_COLLECTION_DESCRIPTOR, nil, n-1)
			require.Equal(t, invalidUserBuffer, hr)
			require.Empty(t, b)
		})
	}
}

// TestHandleWithoutAccess uses a handle that may neither read nor write, as Windows
// applications do to look for their device.
func TestHandleWithoutAccess(t *testing.T) {
	f := newFake(t, withIDs)
	f.set(func() {
		f.facts.productName = "x"
		f.get = func(_ hidreport.Kind, b []byte) (int, error) { return copy(b, "\x02\x07"), nil }
	})
	exclusive := acceptance.ReadWrite
	exclusive.Share = 0
	h, err := f.device(false).Open(exclusive)
	require.NoError(t, err)
	defer h.Close(func() {})
	looks, err := h.(*handle).dev.Open(pnp.OpenRequest{Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	defer looks.Close(func() {})
	hr, b := control(looks, IOCTL_HID_GET_PRODUCT_STRING, nil, 4)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{'x', 0, 0, 0}, b)
	hr, _ = control(looks, IOCTL_HID_GET_FEATURE, []byte{2}, 2)
	require.Equal(t, "S_OK", hr)
	hr, _ = control(looks, IOCTL_HID_FLUSH_QUEUE, nil, 0)
	require.Equal(t, "S_OK", hr)
	hr, _ = read(looks, 8)
	require.Equal(t, "ERROR_ACCESS_DENIED", hr)
	hr, _ = write(looks, 1, 2, 3, 4, 5)
	require.Equal(t, "ERROR_ACCESS_DENIED", hr)
}

func TestReadOnlyRefusesWhatChangesTheDevice(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(true))
	hr, _ := control(h, IOCTL_HID_SET_FEATURE, append([]byte{2}, make([]byte, 9)...), 0)
	require.Equal(t, "ERROR_ACCESS_DENIED", hr)
	hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, []byte{2, 0, 0, 0, 0}, 0)
	require.Equal(t, "ERROR_ACCESS_DENIED", hr)
	hr, _ = write(h, 2, 0, 0, 0, 0)
	require.Equal(t, "ERROR_ACCESS_DENIED", hr)
	require.Empty(t, f.received())
	f.feed(1, 1)
	hr, _ = read(h, 8)
	require.Equal(t, "S_OK", hr)
}

// TestStuckCalls uses a driver that does not answer. Cancelled requests end at once,
// at most one write and one IOControl are stuck and keep their buffers, and the other
// requests are carried out in order.
func TestStuckCalls(t *testing.T) {
	f := newFake(t, withoutIDs)
	f.set(func() { f.get = echo })
	h := open(t, f.device(false))
	f.hold()
	type pending struct {
		r    *pnp.Request
		done <-chan ending
		free chan struct{}
	}
	var all []pending
	for i := range byte(30) {
		for _, r := range []*pnp.Request{
			{Op: pnp.OpWrite, In: []byte{0, i, 2, 3, 4, 5, 6}},
			{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)},
			{Op: pnp.OpIOControl, Code: IOCTL_HID_SET_FEATURE, In: []byte{0, i, 2, 3, 4}},
		} {
			free := make(chan struct{})
			r.OnFree(func(*pnp.Request) { close(free) })
			all = append(all, pending{r, start(h, r), free})
		}
	}
	f.stuck(2) // and no more
	kept := 0
	for i, p := range all {
		if i/3 != 20 {
			h.Cancel(p.r)
			require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, within(p.done))
			select {
			case <-p.free:
				clear(p.r.In)
			default:
				kept++
			}
		}
	}
	require.Equal(t, 2, kept, "requests whose buffers the kernel has")
	require.Empty(t, f.received())
	f.release()
	for _, p := range all {
		happens("buffers are given back", p.free)
	}
	require.Equal(t, ending{pnp.S_OK, 7}, within(all[60].done))
	require.Equal(t, ending{pnp.S_OK, 5}, within(all[61].done))
	require.Equal(t, ending{pnp.S_OK, 0}, within(all[62].done))
	// The call that was stuck when it was cancelled reached the device.
	var written, set []string
	for _, s := range f.received() {
		if s.how == "write" {
			written = append(written, s.data)
		} else {
			set = append(set, s.data)
		}
	}
	require.Equal(t, []string{"\x00\x00\x02\x03\x04\x05\x06", "\x00\x14\x02\x03\x04\x05\x06"}, written)
	require.Equal(t, []string{"\x00\x14\x02\x03\x04"}, set)
}

// TestCloseWhileStuck closes a handle whose driver does not answer. The node is closed
// once the driver does.
func TestCloseWhileStuck(t *testing.T) {
	f := newFake(t, withoutIDs)
	h, err := f.device(false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	f.hold()
	done := start(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 7)})
	f.stuck(1)
	f.feed(1)
	f.feed(2)
	arrived(t, h, 2)
	released := make(chan struct{})
	h.Close(func() { close(released) })
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, within(done).hr)
	require.False(t, f.isClosed(h), "the node is closed while somebody uses it")
	select {
	case <-released:
		require.Fail(t, "the handle is released while somebody uses the node")
	default:
	}
	h.(*handle).q.Lock()
	require.Empty(t, h.(*handle).input.reports, "reports that nobody will read")
	h.(*handle).q.Unlock()
	f.release()
	happens("the handle is released", released)
	require.True(t, f.isClosed(h))
	for _, r := range []*pnp.Request{
		{Op: pnp.OpWrite, In: make([]byte, 7)},
		{Op: pnp.OpRead, Out: make([]byte, 9)},
		{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)},
	} {
		hr, _ := transact(h, r)
		require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), hr.Name())
	}
}

// TestCloseWhileIdle closes a handle whose device sends nothing. The goroutine that
// waits for reports ends.
func TestCloseWhileIdle(t *testing.T) {
	f := newFake(t, bytewise)
	h, err := f.device(false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	f.feed(1)
	arrived(t, h, 1) // now the goroutine waits for the next one
	released := make(chan struct{})
	h.Close(func() { close(released) })
	happens("the handle is released", released)
	require.True(t, f.isClosed(h))
}

// TestUnplugged reads what arrived before the device was unplugged.
func TestUnplugged(t *testing.T) {
	f := newFake(t, bytewise)
	h := open(t, f.device(false))
	f.feed(1)
	f.feed(2)
	arrived(t, h, 2)
	f.unplug()
	for _, want := range []byte{1, 2} {
		hr, b := read(h, 2)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, []byte{0, want}, b)
	}
	gone := pnp.ERROR_DEVICE_NOT_CONNECTED.Name()
	hr, _ := read(h, 2)
	require.Equal(t, gone, hr)
	hr, _ = write(h, make([]byte, 9)...)
	require.Equal(t, gone, hr)
	hr, _ = control(h, IOCTL_HID_GET_FEATURE, nil, 9)
	require.Equal(t, gone, hr)
	hr, _ = control(h, IOCTL_HID_FLUSH_QUEUE, nil, 9)
	require.Equal(t, gone, hr)
	_, err := h.(*handle).dev.Open(acceptance.ReadWrite)
	require.Equal(t, gone, pnp.HRESULTOf(err).Name())
}

// TestShareModes: share modes belong to the node, not to the Device that opens it.
func TestShareModes(t *testing.T) {
	f := newFake(t, bytewise)
	exclusive := acceptance.ReadWrite
	exclusive.Share = 0
	h, err := f.device(false).Open(exclusive)
	require.NoError(t, err)
	defer h.Close(func() {})
	_, err = f.device(false).Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_SHARING_VIOLATION.Name(), pnp.HRESULTOf(err).Name())
	open(t, newFake(t, bytewise).device(false))
}

// TestTransferFailsBeforeTheDeviceIsGone unplugs a device whose transfers fail a little
// before the kernel removes it.
func TestTransferFailsBeforeTheDeviceIsGone(t *testing.T) {
	for errno, stays := range map[error]pnp.HRESULT{
		unix.EIO:       pnp.ERROR_IO_DEVICE,
		unix.EPROTO:    pnp.ERROR_IO_DEVICE,
		unix.EILSEQ:    pnp.ERROR_GEN_FAILURE,
		unix.ETIMEDOUT: pnp.ERROR_SEM_TIMEOUT,
		unix.EPIPE:     pnp.ERROR_GEN_FAILURE,
	} {
		f := newFake(t, bytewise)
		h := open(t, f.device(false))
		f.set(func() { f.fails = errno })
		hr, _ := write(h, make([]byte, 9)...)
		require.Equal(t, stays.Name(), hr)
		if errno == unix.ETIMEDOUT || errno == unix.EPIPE {
			continue // unplugging does not cause these
		}
		f.set(func() { f.leaving = f.unplug })
		hr, _ = write(h, make([]byte, 9)...)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), hr)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]pnp.HRESULT{
		file:             pnp.ERROR_NOT_SUPPORTED,
		file + "missing": pnp.ERROR_DEVICE_NOT_CONNECTED,
		"/dev/null":      pnp.ERROR_NOT_SUPPORTED,
	} {
		d, err := New(backend.Source{Path: path})
		require.NoError(t, err)
		for _, access := range []uint32{0, pnp.GENERIC_READ, pnp.GENERIC_ALL} {
			_, err = d.Open(pnp.OpenRequest{Access: access, Disposition: pnp.OPEN_EXISTING})
			require.Equal(t, want.Name(), pnp.HRESULTOf(err).Name(), "%s", path)
			require.ErrorContains(t, err, path)
		}
	}
	_, err := New(backend.Source{})
	require.Error(t, err)

	d := newFake(t, withIDs).device(false)
	for disposition, want := range map[uint32]pnp.HRESULT{
		0: pnp.ERROR_INVALID_PARAMETER, 6: pnp.ERROR_INVALID_PARAMETER,
		pnp.CREATE_NEW: pnp.ERROR_FILE_EXISTS, pnp.TRUNCATE_EXISTING: pnp.S_OK,
	} {
		h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_ALL, Disposition: disposition})
		require.Equal(t, want.Name(), pnp.HRESULTOf(err).Name())
		if err == nil {
			h.Close(func() {})
		}
	}
	_, err = newFake(t, []byte{0xC0}).device(false).Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_NOT_SUPPORTED.Name(), pnp.HRESULTOf(err).Name())
	require.ErrorContains(t, err, "End Collection")
}
