// SPDX-License-Identifier: Apache-2.0

package char

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// mapping parses IOControls.
func mapping(t *testing.T, texts ...string) (all []backend.IOControl) {
	t.Helper()
	for _, text := range texts {
		c, err := backend.ParseIOControl(text)
		require.NoError(t, err)
		all = append(all, c)
	}
	return all
}

// control does one IOControl.
func control(h pnp.Handle, code uint32, in []byte, room int) (pnp.HRESULT, []byte) {
	out := make([]byte, room)
	hr, n, _ := transact(h, &pnp.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: out})
	return hr, out[:n]
}

// TestIOControls maps ioctls of a terminal.
func TestIOControls(t *testing.T) {
	p := newPTY(t)
	d, err := New(backend.Source{Path: p.path, IOControls: mapping(t,
		"0x1 = 0x5413 out 8", // TIOCGWINSZ
		"0x2 = 0x5414 in 8",  // TIOCSWINSZ
		"0x3 = 0x541B out 4", // FIONREAD
		"0x4 = 0x540B value", // TCFLSH
		"0x5 = 0x540D none",  // TIOCNXCL
		"0x6 = 0x5401 out 2", // TCGETS, which writes more than that
	)})
	require.NoError(t, err)
	h := open(t, d)
	defer h.Close(func() {})

	size := []byte{25, 0, 80, 0, 0, 0, 0, 0}
	hr, out := control(h, 2, size, 0)
	require.Equal(t, pnp.S_OK, hr)
	require.Empty(t, out)
	hr, out = control(h, 1, nil, 100)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, size, out, "no more than the size, whatever the room")
	hr, _ = control(h, 6, nil, 2)
	require.Equal(t, pnp.S_OK, hr)

	p.feed([]byte("lost"))
	require.Eventually(t, func() bool {
		_, out := control(h, 3, nil, 4)
		return bytes.Equal(out, []byte{4, 0, 0, 0})
	}, 20*time.Second, time.Millisecond)
	hr, _ = control(h, 4, []byte{unix.TCIFLUSH, 0, 0, 0}, 0)
	require.Equal(t, pnp.S_OK, hr)
	_, out = control(h, 3, nil, 4)
	require.Equal(t, []byte{0, 0, 0, 0}, out)
	hr, _ = control(h, 5, nil, 0)
	require.Equal(t, pnp.S_OK, hr)
	hr, _ = control(h, 4, []byte{9, 0, 0, 0}, 0)
	require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr, "as the driver says")

	for name, c := range map[string]struct {
		code     uint32
		in, room int
	}{
		"short input": {2, 7, 0}, "short output": {1, 0, 7}, "no value": {4, 0, 0}, "odd value": {4, 5, 0},
	} {
		hr, _ = control(h, c.code, make([]byte, c.in), c.room)
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr, name)
	}
	hr, _ = control(h, 0x5413, nil, 8)
	require.Equal(t, pnp.ERROR_INVALID_FUNCTION, hr, "an ioctl is not an IoCode")
}

// TestReadOnlyIOControls: where writing is not allowed, only what the driver tells is.
func TestReadOnlyIOControls(t *testing.T) {
	p := newPTY(t)
	maps := mapping(t, "1 = 0x5413 out 8", "2 = 0x5414 in 8", "3 = 0x5414 inout 8", "4 = 0x540B value", "5 = 0x540D none")
	d, err := New(backend.Source{Path: p.path, ReadOnly: true, IOControls: maps})
	require.NoError(t, err)
	h := open(t, d)
	defer h.Close(func() {})
	hr, _ := control(h, 1, nil, 8)
	require.Equal(t, pnp.S_OK, hr)
	for code := uint32(2); code <= 5; code++ {
		hr, _ = control(h, code, make([]byte, 8), 8)
		require.Equal(t, pnp.ERROR_ACCESS_DENIED, hr, "IoCode %d", code)
	}
}

// TestSizeOfData: the number of the ioctl holds the length of the data. The driver is the
// test.
func TestSizeOfData(t *testing.T) {
	fs := fusetest.Mount(t, func(r *fusetest.Request) {
		switch r.Op {
		case fusetest.Open:
			r.Opened(0)
		case fusetest.Ioctl:
			if r.Code&0xFFFF != 0x4701 { // "is it a terminal?"
				r.Fail(unix.ENOTTY)
				return
			}
			out := bytes.ToUpper(r.Data)
			out = append(out, make([]byte, r.Size)...)[:r.Size]
			out[0] = byte(r.Code >> 16)
			r.Returns(0, out)
		}
	})
	d, err := New(backend.Source{Path: fs.Path, IOControls: mapping(t, "1 = 0xC0004701 inout data")})
	require.NoError(t, err)
	h := open(t, fromUserSpace{d, blocking})
	defer h.Close(func() {})
	for _, in := range []string{"x", "hello", "hello again"} {
		hr, out := control(h, 1, []byte(in), 11)
		require.Equal(t, pnp.S_OK, hr)
		want := bytes.ToUpper([]byte(in))
		want[0] = byte(len(in))
		require.Equal(t, want, out)
	}
	for _, n := range []int{0, backend.MaxIoctl + 1} {
		hr, _ := control(h, 1, make([]byte, n), n)
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr, "%d bytes", n)
	}
}

// TestIoctlHangs: an ioctl that does not return can be cancelled, and holds up neither
// other ioctls nor reads.
func TestIoctlHangs(t *testing.T) {
	var mu sync.Mutex
	var hung []*fusetest.Request
	arrived := make(chan struct{}, 1)
	fs := fusetest.Mount(t, func(r *fusetest.Request) {
		switch {
		case r.Op == fusetest.Open:
			r.Opened(0)
		case r.Op == fusetest.Read:
			r.Gives([]byte("data"))
		case r.Op == fusetest.Ioctl && r.Code>>8&0xFF != 0x47: // "is it a terminal?"
			r.Fail(unix.ENOTTY)
		case r.Op == fusetest.Ioctl && r.Code&0xFF == 2:
			r.Returns(0, []byte{1, 2, 3, 4})
		case r.Op == fusetest.Ioctl:
			mu.Lock()
			defer mu.Unlock()
			hung = append(hung, r)
			arrived <- struct{}{}
		}
	})
	d, err := New(backend.Source{Path: fs.Path, IOControls: mapping(t, "1 = 0x80044701 out", "2 = 0x80044702 out")})
	require.NoError(t, err)
	h := open(t, fromUserSpace{d, blocking})
	stuck := &pnp.Request{Op: pnp.OpIOControl, Code: 1, Out: make([]byte, 4)}
	done := submit(h, stuck)
	<-arrived
	hr, out := control(h, 2, nil, 4)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, []byte{1, 2, 3, 4}, out)
	hr, out, _ = read(h, 4)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "data", string(out))
	h.Cancel(stuck)
	require.Equal(t, result{pnp.ERROR_OPERATION_ABORTED, 0}, await(t, done))
	mu.Lock()
	hung[0].Returns(0, []byte{9, 9, 9, 9})
	mu.Unlock()
	closed(h)
}
