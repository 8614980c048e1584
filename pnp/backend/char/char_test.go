// SPDX-License-Identifier: Apache-2.0

package char

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

func device(t *testing.T, path string, readOnly bool) *Device {
	t.Helper()
	d, err := New(backend.Source{Path: path, Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(t, err)
	return d
}

// as is a device whose node is treated as one of the given class.
type as struct {
	*Device
	class class
}

func (d as) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	return d.Device.open(r, unix.S_IFCHR, func(devnode.Node) class { return d.class })
}

func ptyInstance(t *testing.T, p *pty) acceptance.Instance {
	return acceptance.Instance{
		Device:   device(t, p.path, false),
		ReadOnly: device(t, p.path, true),
		Feed:     p.feed,
		Sink:     p.sink,
		Unplug:   p.hangUp,
		Blocking: []acceptance.Template{
			{Name: "read", Op: pnp.OpRead, Len: 64},
			{Name: "write", Op: pnp.OpWrite, Len: 1 << 18},
		},
	}
}

func TestSuiteOnTerminal(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, New: func(t *testing.T) acceptance.Instance {
		return ptyInstance(t, newPTY(t))
	}})
}

// TestSuiteOnNodeThatCannotBePolled treats the terminal as a node that blocks and
// that epoll refuses. Real ones are not available everywhere (CUSE makes them, if the
// kernel has it). Here only the refusal is faked: reads and writes block in the kernel
// as they would there.
func TestSuiteOnNodeThatCannotBePolled(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, New: func(t *testing.T) acceptance.Instance {
		p := newPTY(t)
		i := ptyInstance(t, p)
		i.Unstick = p.hangUp
		i.Device = as{i.Device.(*Device), blocking}
		i.ReadOnly = as{i.ReadOnly.(*Device), blocking}
		return i
	}})
}

// TestSuiteOnMemoryDevices uses devices that never wait and that epoll refuses.
func TestSuiteOnMemoryDevices(t *testing.T) {
	for _, path := range []string{"/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			acceptance.Run(t, acceptance.Fixture{Stream: true, New: func(t *testing.T) acceptance.Instance {
				return acceptance.Instance{Device: device(t, path, false), ReadOnly: device(t, path, true)}
			}})
		})
	}
}

// transact does one request and waits for it; quick reports whether it was complete
// when Submit returned.
func transact(h pnp.Handle, r *pnp.Request) (hr pnp.HRESULT, n int, quick bool) {
	done := make(chan struct{})
	r.OnComplete(func(_ *pnp.Request, got pnp.HRESULT, m int) {
		hr, n = got, m
		close(done)
	})
	h.Submit(r)
	quick = r.Completed()
	<-done
	return hr, n, quick
}

func read(h pnp.Handle, n int) (pnp.HRESULT, []byte, bool) {
	b := make([]byte, n)
	hr, n, quick := transact(h, &pnp.Request{Op: pnp.OpRead, Out: b})
	return hr, b[:n], quick
}

func open(t *testing.T, d pnp.Device) pnp.Handle {
	t.Helper()
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	return h
}

func TestMemoryDevicesAnswerAtOnce(t *testing.T) {
	for path, want := range map[string]struct {
		read, write pnp.HRESULT
		n, written  int
	}{
		"/dev/zero":    {pnp.S_OK, pnp.S_OK, 4096, 100},
		"/dev/null":    {pnp.ERROR_HANDLE_EOF, pnp.S_OK, 0, 100},
		"/dev/full":    {pnp.S_OK, pnp.ERROR_DISK_FULL, 4096, 0},
		"/dev/urandom": {pnp.S_OK, pnp.S_OK, 4096, 100},
	} {
		h := open(t, device(t, path, false))
		hr, b, quick := read(h, 4096)
		require.True(t, quick, path)
		require.Equal(t, want.read.Name(), hr.Name(), path)
		require.Len(t, b, want.n, path)
		hr, n, quick := transact(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 100)})
		require.True(t, quick, path)
		require.Equal(t, want.write.Name(), hr.Name(), path)
		require.Equal(t, want.written, n, path)
		// A long read takes a slot.
		hr, b, _ = read(h, 1<<20)
		require.Equal(t, want.read.Name(), hr.Name(), path)
		if want.n > 0 {
			require.NotEmpty(t, b, path)
		}
		h.Close(func() {})
	}
}

// TestNodeThatEpollRefuses: the handle notices that /dev/zero cannot be polled.
func TestNodeThatEpollRefuses(t *testing.T) {
	h := open(t, as{device(t, "/dev/zero", false), pollable})
	defer h.Close(func() {})
	require.Equal(t, blocking, h.(*handle).class)
	flags, err := unix.FcntlInt(uintptr(h.(*handle).fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.Zero(t, flags&unix.O_NONBLOCK)
	hr, b, _ := read(h, 100)
	require.Equal(t, pnp.S_OK, hr)
	require.Len(t, b, 100)
}

func TestQuickReadsAndWritesOfATerminal(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	defer h.Close(func() {})
	p.feed([]byte("ready"))
	// The kernel passes the bytes on in a work queue: wait for them as the poller
	// does.
	fds := []unix.PollFd{{Fd: int32(h.(*handle).fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 10_000)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	hr, b, quick := read(h, 100)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "ready", string(b))
	require.True(t, quick)
	hr, _, quick = transact(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("x")})
	require.Equal(t, pnp.S_OK, hr)
	require.True(t, quick)
	require.Equal(t, "x", string(p.sink(1)))
}

// TestCancelledWriteTellsHowMuch: the count of a cancelled write is what was written.
func TestCancelledWriteTellsHowMuch(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	defer h.Close(func() {})
	data := acceptance.Pattern(1 << 18)
	r := &pnp.Request{Op: pnp.OpWrite, In: append([]byte(nil), data...)}
	result := make(chan int, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		require.Equal(t, pnp.ERROR_OPERATION_ABORTED, hr)
		result <- n
	})
	h.Submit(r)
	require.False(t, r.Completed())
	h.Cancel(r)
	n := <-result
	require.NotZero(t, n)
	require.Equal(t, data[:n], p.sink(n))
	// The next write follows what was written.
	hr, _, _ := transact(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("next")})
	require.Equal(t, pnp.S_OK, hr)
	rest := p.sink(4)
	for string(rest[len(rest)-4:]) != "next" {
		rest = append(rest, p.sink(1)...)
	}
}

// closed closes the handle and waits until it is released.
func closed(h pnp.Handle) {
	released := make(chan struct{})
	h.Close(func() { close(released) })
	select {
	case <-released:
	case <-time.After(patience):
		panic("the handle was never released")
	}
}

// TestTerminalIsRawWhileOpen: the terminal has its settings back when the last handle
// is released.
func TestTerminalIsRawWhileOpen(t *testing.T) {
	p := newPTY(t)
	before := p.termios()
	require.NotZero(t, before.Lflag&unix.ICANON)
	d, again := device(t, p.path, false), device(t, p.path, false)
	for range 60 {
		first, second := open(t, d), open(t, again)
		require.Equal(t, devnode.Raw(before), p.termios())
		closed(first)
		require.Equal(t, devnode.Raw(before), p.termios())
		closed(second)
		require.Equal(t, before, p.termios())
	}
}

// TestTerminalThatComesBack opens the terminal that took the place of one that
// hung up while it was open.
func TestTerminalThatComesBack(t *testing.T) {
	link := filepath.Join(t.TempDir(), "tty")
	p := newPTY(t)
	require.NoError(t, os.Symlink(p.path, link))
	d := device(t, link, false)
	old := open(t, d)
	p.hangUp()

	q := newPTY(t)
	before := q.termios()
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(q.path, link))
	h := open(t, d)
	require.Equal(t, devnode.Raw(before), q.termios())
	closed(old)
	closed(h)
	require.Equal(t, before, q.termios())
}

// TestEndOfFileIsNoHangup: a terminal in canonical mode can send end of file.
func TestEndOfFileIsNoHangup(t *testing.T) {
	p := newPTY(t)
	canonical := p.termios()
	h := open(t, device(t, p.path, false))
	defer h.Close(func() {})
	// Another program changes the terminal.
	require.NoError(t, unix.IoctlSetTermios(p.master, unix.TCSETS, &canonical))
	p.feed([]byte{4})
	hr, b, _ := read(h, 10)
	require.Equal(t, pnp.ERROR_HANDLE_EOF.Name(), hr.Name())
	require.Empty(t, b)
	p.hangUp()
	hr, _, _ = read(h, 10)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), hr.Name())
}

// TestAtMostOneStuckWorker cancels many reads of a node that blocks. Data that arrives
// late goes to the next reads, in order.
func TestAtMostOneStuckWorker(t *testing.T) {
	p := newPTY(t)
	h := open(t, as{device(t, p.path, false), blocking})
	defer h.Close(func() {})
	before := runtime.NumGoroutine()
	for range 100 {
		r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)}
		r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {})
		h.Submit(r)
		h.Cancel(r)
		require.True(t, r.Completed())
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before+1)
	p.feed([]byte("abcdefgh"))
	got := ""
	for len(got) < 8 {
		hr, b, _ := read(h, 3)
		require.Equal(t, pnp.S_OK, hr)
		got += string(b)
	}
	require.Equal(t, "abcdefgh", got)
}

// TestLateReadsKeepNoMore than what was read, or a buffer that counts: the server may
// have asked for a megabyte.
func TestLateReadsKeepNoMore(t *testing.T) {
	var reading fusetest.Request
	began := make(chan struct{}, 1)
	fs := fusetest.Mount(t, func(r *fusetest.Request) {
		switch r.Op {
		case fusetest.Open:
			r.Opened(fusetest.DirectIO | fusetest.Stream)
		case fusetest.Ioctl:
			r.Fail(unix.ENOTTY)
		case fusetest.Read:
			reading = *r
			began <- struct{}{}
		}
	})
	h := open(t, fromUserSpace{device(t, fs.Path, false), blocking})
	for _, n := range []int{3, copied, copied + 1} {
		freed := make(chan struct{})
		r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 1<<16)}
		r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {})
		r.OnFree(func(*pnp.Request) { close(freed) })
		h.Submit(r)
		<-began
		h.Cancel(r)
		data := acceptance.Pattern(8192)[:n]
		reading.Gives(data)
		if n <= copied {
			<-freed
		}
		hr, got, _ := read(h, 1)
		require.Equal(t, pnp.S_OK, hr)
		if n > copied {
			select {
			case <-freed:
				t.Error("it holds data that was not read")
			default:
			}
		}
		hr, rest, _ := read(h, 1<<16)
		require.Equal(t, pnp.S_OK, hr)
		require.Equal(t, data, append(got, rest...))
		<-freed
	}
	closed(h)
}

// TestCloseEndsTheWorkers closes a handle whose goroutines wait in the poller, while
// the other end stays open.
func TestCloseEndsTheWorkers(t *testing.T) {
	p := newPTY(t)
	ignore := goleak.IgnoreCurrent()
	h := open(t, device(t, p.path, false))
	for range 4 {
		for _, r := range []*pnp.Request{
			{Op: pnp.OpRead, Out: make([]byte, 8)},
			{Op: pnp.OpWrite, In: make([]byte, 1<<18)},
		} {
			r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {})
			h.Submit(r)
		}
	}
	closed(h)
	goleak.VerifyNone(t, ignore)
	require.Error(t, h.(*handle).file.Close(), "the descriptor is closed")
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct {
		path        string
		disposition uint32
		want        pnp.HRESULT
	}{
		{file, pnp.OPEN_EXISTING, pnp.ERROR_NOT_SUPPORTED},
		{file + "x", pnp.OPEN_ALWAYS, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{file + "x", pnp.CREATE_NEW, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{"/dev/null", pnp.CREATE_NEW, pnp.ERROR_FILE_EXISTS},
		{"/dev/null", 0, pnp.ERROR_INVALID_PARAMETER},
		{"/dev/null", 6, pnp.ERROR_INVALID_PARAMETER},
		{"/dev/null", pnp.CREATE_ALWAYS, pnp.S_OK},
		{"/dev/null", pnp.TRUNCATE_EXISTING, pnp.S_OK},
	} {
		h, err := device(t, c.path, false).Open(pnp.OpenRequest{Access: acceptance.ReadWrite.Access, Disposition: c.disposition})
		require.Equal(t, c.want.Name(), pnp.HRESULTOf(err).Name(), "%+v", c)
		if err == nil {
			h.Close(func() {})
		}
	}
	_, err := New(backend.Source{})
	require.Error(t, err)
}
