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
	"freerdp-pnpdr/pnp/devtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// blocking are requests that wait on a device that neither sends nor answers.
var blocking = []devtest.Template{
	{Name: "read", Op: pnp.OpRead, Len: 64},
	{Name: "get feature", Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, In: []byte{0}, Len: 64},
}

// TestSuite runs the acceptance suite; its device's calls that block do.
func TestSuite(t *testing.T) {
	devtest.Run(t, devtest.Fixture{Stream: true, New: func(t *testing.T) devtest.Instance {
		f := newFake(t, bytewise)
		f.hold()
		s := &byteStream{Device: f.device(false), report: func(b byte) { f.feed(b) }}
		return devtest.Instance{
			Device:   s,
			ReadOnly: f.device(true),
			Feed:     s.feed,
			Blocking: append([]devtest.Template{
				{Name: "write", Op: pnp.OpWrite, Len: 64},
				{Name: "set output", Op: pnp.OpIOControl, Code: IOCTL_HID_SET_OUTPUT_REPORT, In: make([]byte, 64)},
			}, blocking...),
			Unplug: f.unplug,
			Controls: []devtest.Control{
				{Template: devtest.Template{Op: pnp.OpIOControl, Code: IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, Len: 8},
					Out: []byte{0, 2, 0, 0}}, // as byteStream sets it
			},
		}
	}})
}

// transact does one request and waits for it.
func transact(h pnp.Handle, r *pnp.Request) (hr pnp.HRESULT, n int) {
	done := start(h, r)
	got := <-done
	return got.hr, got.n
}

type ending struct {
	hr pnp.HRESULT
	n  int
}

// start starts a request; how it ends comes through the channel.
func start(h pnp.Handle, r *pnp.Request) <-chan ending {
	done := make(chan ending, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { done <- ending{hr, n} })
	if !h.Try(r) {
		h.Do(r)
	}
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
	b := bytes.Repeat([]byte{0xCD}, out)
	hr, n := transact(h, &pnp.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: b})
	return hr.Name(), b[:n]
}

func open(t testing.TB, d pnp.Device) pnp.Handle {
	t.Helper()
	h, err := d.Open(devtest.ReadWrite)
	require.NoError(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

// arrived waits until n reports are in the queue of h.
func arrived(t testing.TB, h pnp.Handle, n int) {
	t.Helper()
	in := &h.(*handle).input
	require.Eventually(t, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return len(in.reports) == n
	}, 20*time.Second, time.Millisecond)
}

var invalidUserBuffer = ERROR_INVALID_USER_BUFFER.Name()

func TestReadsOfADeviceWithoutIDs(t *testing.T) {
	f := newFake(t, withoutIDs)
	h := open(t, f.device(false))
	for _, c := range []struct {
		report, want []byte
	}{
		{[]byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{[]byte{1, 2}, []byte{0, 1, 2, 0, 0, 0, 0, 0, 0}},
		{bytes.Repeat([]byte{7}, 20), []byte{0, 7, 7, 7, 7, 7, 7, 7, 7}},
		{[]byte{0, 0xFF}, []byte{0, 0, 0xFF, 0, 0, 0, 0, 0, 0}},
	} {
		f.feed(c.report...)
		hr, b := read(h, 9)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, c.want, b)
	}
	f.feed(9)
	hr, b := read(h, 100) // more room changes nothing
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0, 9, 0, 0, 0, 0, 0, 0, 0}, b)

	f.feed(5)
	for _, n := range []int{1, 8} {
		hr, b := read(h, n)
		require.Equal(t, invalidUserBuffer, hr)
		require.Empty(t, b)
	}
	_, b = read(h, 9) // they took nothing
	require.Equal(t, []byte{0, 5, 0, 0, 0, 0, 0, 0, 0}, b)
}

func TestReadsOfADeviceWithIDs(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(false))
	f.feed(1, 10, 11, 12)
	f.feed(3, 1, 2, 3) // not declared
	f.feed(200, 1)     // a feature's
	f.feed(0, 1)
	f.feed(2, 20, 21, 22, 23, 24, 25, 26)
	for _, want := range [][]byte{
		{1, 10, 11, 12, 0, 0, 0, 0},
		{2, 20, 21, 22, 23, 24, 25, 26},
	} {
		hr, b := read(h, 8)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, b)
	}
	hr, _ := read(h, 7) // enough for report 1 only
	require.Equal(t, invalidUserBuffer, hr)
}

// TestInputQueue has each handle with a queue of its own, which drops the
// oldest.
func TestInputQueue(t *testing.T) {
	f := newFake(t, bytewise)
	d := f.device(false)
	a, b := open(t, d), open(t, d)
	for code, c := range map[uint32]struct {
		in   []byte
		out  int
		want string
	}{
		IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS: {out: 3, want: invalidUserBuffer},
		IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS: {in: []byte{1, 0, 0}, want: invalidUserBuffer},
	} {
		hr, _ := control(a, code, c.in, c.out)
		require.Equal(t, c.want, hr)
	}
	for _, c := range []struct {
		n    uint32
		want string
	}{{0, "ERROR_INVALID_PARAMETER"}, {1, "ERROR_INVALID_PARAMETER"}, {513, "ERROR_INVALID_PARAMETER"},
		{1 << 31, "ERROR_INVALID_PARAMETER"}, {512, "S_OK"}, {2, "S_OK"}, {5, "S_OK"}} {
		hr, _ := control(a, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, binary.LittleEndian.AppendUint32(nil, c.n), 0)
		require.Equal(t, c.want, hr, "%d", c.n)
	}
	_, n := control(a, IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, nil, 4)
	require.Equal(t, []byte{5, 0, 0, 0}, n)
	_, n = control(b, IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, nil, 9)
	require.Equal(t, []byte{32, 0, 0, 0}, n)

	for i := range byte(40) {
		f.feed(i)
	}
	last := func(h pnp.Handle) byte {
		in := &h.(*handle).input
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.reports) == 0 {
			return 0
		}
		return in.reports[len(in.reports)-1][1]
	}
	require.Eventually(t, func() bool { return last(a) == 39 && last(b) == 39 }, 20*time.Second, time.Millisecond)
	for h, first := range map[pnp.Handle]byte{a: 35, b: 8} {
		for i := first; i < 40; i++ {
			_, got := read(h, 2)
			require.Equal(t, []byte{0, i}, got)
		}
	}

	// A smaller queue drops what is too much at once.
	for i := range byte(10) {
		f.feed(i)
	}
	arrived(t, b, 10)
	hr, _ := control(b, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, []byte{3, 0, 0, 0}, 0)
	require.Equal(t, "S_OK", hr)
	_, got := read(b, 2)
	require.Equal(t, []byte{0, 7}, got)
}

// TestFlushQueue drops what came before, on the way or in the queue, and leaves
// what comes after and the reads that wait.
func TestFlushQueue(t *testing.T) {
	f := newFake(t, bytewise)
	h := open(t, f.device(false))
	for i := range 50 {
		f.feed(1)
		f.feed(2)
		if i%2 == 0 {
			arrived(t, h, 2)
		}
		hr, _ := control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
		require.Equal(t, "S_OK", hr)
		f.feed(3)
		_, b := read(h, 2)
		require.Equal(t, []byte{0, 3}, b)
	}
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)}
	done := start(h, r)
	control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
	f.feed(4)
	require.Equal(t, ending{pnp.S_OK, 2}, <-done)
	require.Equal(t, []byte{0, 4}, r.Out)
}

func TestWrites(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor, data []byte
		want             string
		n                int
		sent             string // to the device
	}{
		"exactly":                    {withoutIDs, []byte{0, 1, 2, 3, 4, 5, 6}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"more":                       {withoutIDs, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"less":                       {withoutIDs, []byte{0, 1, 2, 3, 4, 5}, "ERROR_INVALID_PARAMETER", 0, ""},
		"an id for a device without": {withoutIDs, []byte{9, 1, 2, 3, 4, 5, 6}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"the longest":                {withIDs, []byte{2, 1, 2, 3, 4}, "S_OK", 5, "\x02\x01\x02\x03\x04"},
		"a shorter one padded":       {withIDs, []byte{1, 1, 2, 3, 4}, "S_OK", 3, "\x01\x01\x02"},
		"a shorter one":              {withIDs, []byte{1, 1, 2}, "ERROR_INVALID_PARAMETER", 0, ""},
		"not declared":               {withIDs, []byte{3, 1, 2, 3, 4}, "ERROR_INVALID_PARAMETER", 0, ""},
		"no id":                      {withIDs, []byte{0, 1, 2, 3, 4}, "ERROR_INVALID_PARAMETER", 0, ""},
		"no output reports":          {featureOnly, []byte{7, 1}, "ERROR_INVALID_FUNCTION", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.descriptor)
			h := open(t, f.device(false))
			hr, n := write(h, c.data...)
			require.Equal(t, c.want, hr)
			require.Equal(t, c.n, n)
			hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, c.data, 0)
			require.Equal(t, c.want, hr)
			if c.sent == "" {
				require.Empty(t, f.received())
			} else {
				require.Equal(t, []sent{{"write", Output, c.sent}, {"set", Output, c.sent}}, f.received())
			}
		})
	}
}

func TestSetFeature(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(false))
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{nil, invalidUserBuffer},
		{[]byte{1}, "ERROR_INVALID_PARAMETER"},
		{make([]byte, 10), "ERROR_INVALID_PARAMETER"}, // id 0
		{append([]byte{2, 22}, make([]byte, 7)...), "ERROR_INVALID_PARAMETER"},
		{append([]byte{2, 22}, make([]byte, 8)...), "S_OK"},
		{append([]byte{200, 1}, make([]byte, 30)...), "S_OK"},
	} {
		hr, out := control(h, IOCTL_HID_SET_FEATURE, c.in, 5)
		require.Equal(t, c.want, hr, "% x", c.in)
		require.Empty(t, out)
	}
	require.Equal(t, []sent{{"set", Feature, "\x02\x16"}, {"set", Feature, "\xc8\x01\x00\x00\x00\x00\x00\x00\x00\x00"}}, f.received())
}

func TestGetReports(t *testing.T) {
	type answer struct {
		data string
		err  error
	}
	for name, c := range map[string]struct {
		descriptor []byte
		code       uint32
		in         []byte
		out        int
		asked      []byte // nil if the device is not
		answer     answer
		want       string
		reply      []byte
	}{
		"feature with id": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2, 9, 9}, 2, []byte{2, 0},
			answer{"\x02\x55", nil}, "S_OK", []byte{2, 0x55}},
		"short answer": {withIDs, IOCTL_HID_GET_FEATURE, []byte{1}, 100, []byte{1, 0, 0, 0, 0, 0},
			answer{"\x01\x07", nil}, "S_OK", []byte{1, 7}},
		"input with id": {withIDs, IOCTL_HID_GET_INPUT_REPORT, []byte{1}, 4, []byte{1, 0, 0, 0},
			answer{"\x01\x02\x03\x04", nil}, "S_OK", []byte{1, 2, 3, 4}},
		"output with id": {withIDs, IOCTL_HID_GET_OUTPUT_REPORT, []byte{1}, 3, []byte{1, 0, 0},
			answer{"\x01\x02\x03", nil}, "S_OK", []byte{1, 2, 3}},
		"no room": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 0, nil,
			answer{}, invalidUserBuffer, []byte{}},
		"not enough room": {withIDs, IOCTL_HID_GET_FEATURE, []byte{1}, 5, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"not declared": {withIDs, IOCTL_HID_GET_FEATURE, []byte{3}, 100, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"which of several": {withIDs, IOCTL_HID_GET_FEATURE, nil, 100, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"the only one": {featureOnly, IOCTL_HID_GET_FEATURE, nil, 17, append([]byte{7}, make([]byte, 16)...),
			answer{"\x07\x01", nil}, "S_OK", []byte{7, 1}},
		"no such kind": {featureOnly, IOCTL_HID_GET_INPUT_REPORT, nil, 0, nil,
			answer{}, "ERROR_INVALID_FUNCTION", []byte{}},
		"without ids, as USB answers": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0}, 5, []byte{0, 0, 0, 0, 0},
			answer{"\x00abcd", nil}, "S_OK", []byte("\x00abcd")},
		"without ids, as Bluetooth answers": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0}, 5, []byte{0, 0, 0, 0, 0},
			answer{"abcd", nil}, "S_OK", []byte("\x00abcd")},
		"without ids, the first byte stays": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0x5A}, 9, []byte{0, 0, 0, 0, 0},
			answer{"\x00abcd", nil}, "S_OK", []byte("\x5Aabcd")},
		"without ids, an empty answer": {withoutIDs, IOCTL_HID_GET_FEATURE, nil, 5, []byte{0, 0, 0, 0, 0},
			answer{"", nil}, "S_OK", []byte{0}},
		"stall": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 2, []byte{2, 0},
			answer{"", unix.EPIPE}, "ERROR_GEN_FAILURE", []byte{}},
		"timeout": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 2, []byte{2, 0},
			answer{"", unix.ETIMEDOUT}, "ERROR_SEM_TIMEOUT", []byte{}},
		"an old kernel": {withIDs, IOCTL_HID_GET_INPUT_REPORT, []byte{1}, 4, []byte{1, 0, 0, 0},
			answer{"", pnp.ERROR_NOT_SUPPORTED}, "ERROR_NOT_SUPPORTED", []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.descriptor)
			var asked []byte
			f.get = func(_ Kind, b []byte) (int, error) {
				asked = bytes.Clone(b)
				return copy(b, c.answer.data), c.answer.err
			}
			h := open(t, f.device(false))
			hr, out := control(h, c.code, c.in, c.out)
			require.Equal(t, c.want, hr)
			require.Equal(t, c.reply, out)
			require.Equal(t, c.asked, asked)
		})
	}
}

func TestInformation(t *testing.T) {
	f := newFake(t, withIDs)
	f.facts = facts{vendor: 0x1209, product: 0xABCD, version: 0x0123, manufacturer: "Zürich", productName: "Gerät 𝄞"}
	h := open(t, f.device(false))
	hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 13)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0x09, 0x12, 0xCD, 0xAB, 0x23, 0x01}, b)
	hr, _ = control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 11)
	require.Equal(t, invalidUserBuffer, hr)

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
		IOCTL_HID_GET_COLLECTION_DESCRIPTOR: "ERROR_NOT_SUPPORTED",
		IOCTL_HID_GET_INDEXED_STRING:        "ERROR_NOT_SUPPORTED",
		IOCTL_GET_PHYSICAL_DESCRIPTOR:       "ERROR_NOT_SUPPORTED",
		IOCTL_HID_GET_POLL_FREQUENCY_MSEC:   "ERROR_NOT_SUPPORTED",
		0xB01FF:                             "ERROR_INVALID_FUNCTION",
	} {
		hr, _ := control(h, code, nil, 100)
		require.Equal(t, want, hr)
	}
	f.unplug()
	hr, _ = control(h, IOCTL_HID_GET_PRODUCT_STRING, nil, 100)
	require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
}

// TestHandleWithoutAccess asks a device through a handle that may neither read
// nor write, as Windows' applications look for theirs.
func TestHandleWithoutAccess(t *testing.T) {
	f := newFake(t, withIDs)
	f.facts.productName = "x"
	f.get = func(_ Kind, b []byte) (int, error) { return copy(b, "\x02\x07"), nil }
	exclusive := devtest.ReadWrite
	exclusive.Share = 0
	h, err := f.device(false).Open(exclusive)
	require.NoError(t, err)
	defer h.Close()
	looks, err := h.(*handle).dev.Open(pnp.OpenRequest{Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	defer looks.Close()
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

// TestStuckCalls has a driver that does not answer: what is cancelled ends at
// once, one call of each sort at most is stuck, and what stays is done in its
// order.
func TestStuckCalls(t *testing.T) {
	f := newFake(t, withoutIDs)
	f.get = func(_ Kind, b []byte) (int, error) { return len(b), nil }
	h := open(t, f.device(false))
	f.hold()
	type pending struct {
		r    *pnp.Request
		done <-chan ending
	}
	var all []pending
	for i := range byte(30) {
		for _, r := range []*pnp.Request{
			{Op: pnp.OpWrite, In: []byte{0, i, 2, 3, 4, 5, 6}},
			{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)},
			{Op: pnp.OpIOControl, Code: IOCTL_HID_SET_FEATURE, In: []byte{0, i, 2, 3, 4}},
		} {
			all = append(all, pending{r, start(h, r)})
		}
	}
	f.stuck(2) // and no more
	for i, p := range all {
		if i/3 != 20 {
			p.r.MarkCancelled()
			h.Cancel(p.r)
			require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, <-p.done)
			clear(p.r.In) // it is not the device's any more
		}
	}
	require.Empty(t, f.received())
	f.release()
	require.Equal(t, ending{pnp.S_OK, 7}, <-all[60].done)
	require.Equal(t, ending{pnp.S_OK, 5}, <-all[61].done)
	require.Equal(t, ending{pnp.S_OK, 0}, <-all[62].done)
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

// TestCloseWhileStuck closes a handle whose driver does not answer: the node is
// closed once it does.
func TestCloseWhileStuck(t *testing.T) {
	f := newFake(t, withoutIDs)
	h, err := f.device(false).Open(devtest.ReadWrite)
	require.NoError(t, err)
	f.hold()
	done := start(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 7)})
	reading := start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 9)})
	f.stuck(1)
	h.Close()
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-done).hr)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-reading).hr)
	node := h.(*handle).node.(*fakeNode)
	_, err = node.file.Stat()
	require.NoError(t, err, "the node is closed while somebody uses it")
	f.release()
	require.Eventually(t, func() bool {
		_, err := node.file.Stat()
		return err != nil
	}, 20*time.Second, time.Millisecond)
	for _, r := range []*pnp.Request{
		{Op: pnp.OpWrite, In: make([]byte, 7)},
		{Op: pnp.OpRead, Out: make([]byte, 9)},
		{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)},
	} {
		hr, _ := transact(h, r)
		require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), hr.Name())
	}
}

// TestUnplugged gives out what came before the device went.
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
	_, err := h.(*handle).dev.Open(devtest.ReadWrite)
	require.Equal(t, gone, pnp.HRESULTOf(err).Name())
}

// TestFlushFindsTheEnd has the flush be first to see that the device has gone;
// the reads that wait end all the same.
func TestFlushFindsTheEnd(t *testing.T) {
	for range 50 {
		f := newFake(t, bytewise)
		h := open(t, f.device(false))
		done := start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)})
		go f.unplug()
		h.(*handle).input.flush()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, (<-done).hr)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]pnp.HRESULT{
		file:             pnp.ERROR_NOT_SUPPORTED,
		file + "missing": pnp.ERROR_FILE_NOT_FOUND,
		"/dev/null":      pnp.ERROR_NOT_SUPPORTED,
	} {
		d, err := New(path, Options{})
		require.NoError(t, err)
		for _, access := range []uint32{0, pnp.GENERIC_READ, pnp.GENERIC_ALL} {
			_, err = d.Open(pnp.OpenRequest{Access: access, Disposition: pnp.OPEN_EXISTING})
			require.Equal(t, want.Name(), pnp.HRESULTOf(err).Name(), "%s", path)
			require.ErrorContains(t, err, path)
		}
	}
	_, err := New("", Options{})
	require.Error(t, err)

	d := newFake(t, withIDs).device(false)
	for disposition, want := range map[uint32]pnp.HRESULT{
		0: pnp.ERROR_INVALID_PARAMETER, 6: pnp.ERROR_INVALID_PARAMETER,
		pnp.CREATE_NEW: pnp.ERROR_FILE_EXISTS, pnp.TRUNCATE_EXISTING: pnp.S_OK,
	} {
		h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_ALL, Disposition: disposition})
		require.Equal(t, want.Name(), pnp.HRESULTOf(err).Name())
		if err == nil {
			h.Close()
		}
	}
	_, err = newFake(t, []byte{0xC0}).device(false).Open(devtest.ReadWrite)
	require.Equal(t, pnp.ERROR_NOT_SUPPORTED.Name(), pnp.HRESULTOf(err).Name())
	require.ErrorContains(t, err, "End Collection")
}
