// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, AnyOpen: true, New: func(t *testing.T) acceptance.Instance {
		d, b := camera(t)
		taken := 0
		return acceptance.Instance{
			Device: d,
			Feed:   func(data []byte) { b.send(data) },
			Sink: func(n int) []byte {
				var all []byte
				require.Eventually(t, func() bool {
					b.mu.Lock()
					defer b.mu.Unlock()
					all = bytes.Join(b.wrote, nil)[taken:]
					return len(all) >= n
				}, time.Minute, time.Millisecond)
				taken += n
				return all[:n]
			},
			Blocking: []acceptance.Template{
				{Name: "read", Op: pnp.OpRead, Len: packet},
				{Name: "odd read", Op: pnp.OpRead, Len: packet + 1},
				{Name: "long read", Op: pnp.OpRead, Len: pieceSize + 5},
				{Name: "event", Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Len: 8},
			},
			Unplug: b.unplugged,
		}
	}})
}

// open opens a handle that the test closes.
func open(t testing.TB, d *Device) pnp.Handle {
	t.Helper()
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	return h
}

func closed(h pnp.Handle) {
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
}

type answer struct {
	hr pnp.HRESULT
	n  int
}

func start(h pnp.Handle, r *pnp.Request) <-chan answer {
	done := make(chan answer, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { done <- answer{hr, n} })
	h.Submit(r)
	return done
}

func read(h pnp.Handle, n int) ([]byte, <-chan answer) {
	b := make([]byte, n)
	return b, start(h, &pnp.Request{Op: pnp.OpRead, Out: b})
}

func control(h pnp.Handle, code uint32, in []byte, room int) (pnp.HRESULT, []byte) {
	out := make([]byte, room)
	a := <-start(h, &pnp.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: out})
	return a.hr, out[:a.n]
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31 ^ i>>7)
	}
	return b
}

// TestPackets: a short packet ends a read, an empty one is a read of nothing, and what
// comes beyond a read that is not a multiple of the packets goes to the next.
func TestPackets(t *testing.T) {
	d, b := camera(t)
	h := open(t, d)
	defer closed(h)
	data := pattern(200)
	for _, c := range []struct {
		room int
		want []int
	}{
		{256, []int{200}}, {128, []int{128, 72}}, {100, []int{100, 28, 72}}, {10, []int{10, 10, 10, 10, 10, 10, 4, 10}},
	} {
		b.send(data)
		var got []byte
		for i, n := range c.want {
			p, done := read(h, c.room)
			require.Equal(t, answer{pnp.S_OK, n}, <-done, "read %d of %d bytes", i, c.room)
			got = append(got, p[:n]...)
		}
		require.Equal(t, data[:len(got)], got)
		for len(got) < len(data) {
			p, done := read(h, c.room)
			a := <-done
			require.Equal(t, pnp.S_OK, a.hr)
			got = append(got, p[:a.n]...)
		}
		require.Equal(t, data, got)
	}
	b.send(data[:128])
	_, done := read(h, 128)
	require.Equal(t, answer{pnp.S_OK, 128}, <-done)
	_, done = read(h, 128)
	require.Equal(t, answer{pnp.S_OK, 0}, <-done, "the empty packet")
}

// TestManyReads: several reads are with the device at a time and get the data in order,
// whatever their lengths; nothing is lost where the kernel has no memory.
func TestManyReads(t *testing.T) {
	for _, full := range []int{0, 2} {
		d, b := camera(t)
		b.full = full
		h := open(t, d)
		data := pattern(4 * pieceSize)
		type pending struct {
			p    []byte
			done <-chan answer
		}
		var reads []pending
		want := 0
		for want < len(data) {
			for _, n := range []int{64, 256, 100, 65536, pieceSize + 77} {
				n = min(n, len(data)-want)
				p, done := read(h, n)
				reads = append(reads, pending{p, done})
				want += n
			}
		}
		go b.send(data)
		var got []byte
		for _, r := range reads {
			a := <-r.done
			require.Equal(t, pnp.S_OK, a.hr)
			got = append(got, r.p[:a.n]...)
		}
		for len(got) < len(data) {
			p, done := read(h, 4096)
			a := <-done
			require.Equal(t, pnp.S_OK, a.hr)
			got = append(got, p[:a.n]...)
		}
		require.True(t, bytes.Equal(data, got))
		closed(h)
	}
}

// halfRead begins a read of 256 bytes, for which 64 have come.
func halfRead(t *testing.T) (h pnp.Handle, r *pnp.Request, done <-chan answer, freed chan struct{}) {
	t.Helper()
	d, b := camera(t)
	h = open(t, d)
	freed = make(chan struct{})
	r = &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 256)}
	r.OnFree(func(*pnp.Request) { close(freed) })
	done = start(h, r)
	b.mu.Lock()
	b.packets = append(b.packets, pattern(64))
	b.mu.Unlock()
	require.Eventually(t, func() bool {
		b.run()
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.packets) == 0
	}, time.Minute, time.Millisecond)
	return h, r, done, freed
}

// TestCancelledRead: what came for it goes to the next read, and its memory counts until
// then.
func TestCancelledRead(t *testing.T) {
	h, r, done, freed := halfRead(t)
	h.Cancel(r)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-done).hr)
	require.Eventually(t, func() bool {
		h.(*handle).q.Lock()
		defer h.(*handle).q.Unlock()
		return len(h.(*handle).reads.rest) == 1
	}, time.Minute, time.Millisecond)
	select {
	case <-freed:
		require.Fail(t, "the data is in its memory")
	default:
	}
	p, next := read(h, 64)
	require.Equal(t, answer{pnp.S_OK, 64}, <-next)
	require.Equal(t, pattern(64), p)
	<-freed
	closed(h)
}

// TestClosedRead: what comes for a read while the handle is closed takes no memory.
func TestClosedRead(t *testing.T) {
	h, _, done, freed := halfRead(t)
	closed(h)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-done).hr)
	select {
	case <-freed:
	case <-time.After(time.Minute):
		require.Fail(t, "its memory is kept for a read that cannot come")
	}
}

// TestWrites: each write is a transfer with its packets; an empty one is an empty packet.
func TestWrites(t *testing.T) {
	d, b := camera(t)
	h := open(t, d)
	defer closed(h)
	long := pattern(2*pieceSize + 3)
	for _, data := range [][]byte{{}, []byte("x"), pattern(128), long} {
		require.Equal(t, answer{pnp.S_OK, len(data)}, <-start(h, &pnp.Request{Op: pnp.OpWrite, In: data}))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Len(t, b.wrote, 6)
	require.Empty(t, b.wrote[0])
	require.Equal(t, long, bytes.Join(b.wrote[3:], nil))
}

// TestErrors of transfers are results that Windows' programs know.
func TestErrors(t *testing.T) {
	d, b := camera(t)
	h := open(t, d)
	defer closed(h)
	for err, want := range map[error]pnp.HRESULT{
		ErrStall: pnp.ERROR_GEN_FAILURE, ErrTimeout: pnp.ERROR_SEM_TIMEOUT, ErrOverflow: pnp.ERROR_IO_DEVICE, ErrGone: pnp.ERROR_DEVICE_NOT_CONNECTED,
		ErrFailed: pnp.ERROR_IO_DEVICE, // the device is still there
	} {
		_, done := read(h, 64)
		require.Eventually(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.pending[bulkIn]) == 1
		}, time.Minute, time.Millisecond)
		b.end(func(t *Transfer) bool { return t.Endpoint == bulkIn }, err)
		require.Equal(t, answer{want, 0}, <-done)
	}
}

// TestFailed: a transfer that fails is the first sign of a device that was unplugged.
func TestFailed(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	c := &claim{fd: fds[0]}
	done := make(chan error, 1)
	c.settle(ErrStall, func(err error) { done <- err })
	require.Equal(t, ErrStall, <-done)
	c.settle(ErrFailed, func(err error) { done <- err })
	unix.Close(fds[1])
	require.ErrorIs(t, <-done, ErrGone)
	c.settling.Wait()
}

// TestEvents: what the device reports comes to each handle once, and is a custom event.
func TestEvents(t *testing.T) {
	d, b := camera(t)
	raised := make(chan pnp.Event, 200)
	d.Notify(func(e pnp.Event) { e.Data = bytes.Clone(e.Data); raised <- e })
	first, second := open(t, d), open(t, d)
	defer closed(first)
	defer closed(second)
	out := make([]byte, 8)
	waiting := start(first, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Out: out})
	b.report([]byte("event"), nil)
	require.Equal(t, answer{pnp.S_OK, 5}, <-waiting)
	require.Equal(t, "event", string(out[:5]))
	require.Equal(t, pnp.Event{GUID: GUID_DEVICE_EVENT, Data: []byte("event")}, <-raised)
	hr, kept := control(second, IOCTL_WAIT_ON_DEVICE_EVENT, nil, 8)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "event", string(kept))

	for i := range 2 * keptEvents {
		b.report([]byte{byte(i)}, nil)
	}
	for i := range keptEvents {
		_, kept := control(second, IOCTL_WAIT_ON_DEVICE_EVENT, nil, 8)
		require.Equal(t, []byte{byte(keptEvents + i)}, kept, "the newest are kept")
	}
	hr, _ = control(first, IOCTL_WAIT_ON_DEVICE_EVENT, nil, 7)
	require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr)

	// A halted pipe is tried again, a few times. Then the next wait tries once, and
	// RESET_PIPE begins anew.
	lost := start(second, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Out: out})
	for range maxRestarts + 1 {
		b.report(nil, ErrStall)
	}
	require.Equal(t, pnp.ERROR_GEN_FAILURE, (<-lost).hr)
	lost = start(second, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Out: make([]byte, 8)})
	b.report(nil, ErrStall)
	require.Equal(t, pnp.ERROR_GEN_FAILURE, (<-lost).hr)
	hr, _ = control(second, IOCTL_RESET_PIPE, u32s(EVENT_PIPE), 0)
	require.Equal(t, pnp.S_OK, hr)
	again := start(second, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Out: out})
	b.report([]byte("again"), nil)
	require.Equal(t, answer{pnp.S_OK, 5}, <-again)

	hr, _ = control(second, IOCTL_SET_TIMEOUT, u32s(0, 0, 1), 0)
	require.Equal(t, pnp.S_OK, hr)
	hr, _ = control(second, IOCTL_WAIT_ON_DEVICE_EVENT, nil, 8)
	require.Equal(t, pnp.ERROR_SEM_TIMEOUT, hr)
}

// TestClaim: the interface is claimed while a handle is open. Who has it otherwise is told.
func TestClaim(t *testing.T) {
	d, b := camera(t)
	claims := func() int { b.mu.Lock(); defer b.mu.Unlock(); return b.claims }
	first, second := open(t, d), open(t, d)
	require.Equal(t, 1, claims())
	closed(first)
	require.Equal(t, 1, claims())
	closed(second)
	require.Zero(t, claims())
	closed(open(t, d))
	require.Zero(t, claims())

	var log bytes.Buffer
	d.log = slog.New(slog.NewTextHandler(&log, nil))
	b.busy = true
	_, err := d.Open(acceptance.ReadWrite)
	require.ErrorIs(t, err, pnp.ERROR_BUSY)
	require.Contains(t, log.String(), "device is in use on this machine; close it there")
	b.busy = false

	h := open(t, d)
	b.unplugged()
	require.Eventually(t, h.(*handle).c.gone, time.Minute, time.Millisecond)
	_, err = d.Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
	hr, _ := control(h, IOCTL_WAIT_ON_DEVICE_EVENT, nil, 8)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, hr)
	closed(h)
	require.Zero(t, claims())

	used.Store(nil)
	_, err = d.Open(acceptance.ReadWrite)
	require.ErrorContains(t, err, "this program cannot reach USB devices")
	_, err = New(backend.Source{})
	require.Error(t, err)

	d, _ = camera(t)
	require.NoError(t, os.WriteFile(d.src.Path, []byte("no descriptors"), 0o600))
	_, err = d.Open(acceptance.ReadWrite)
	require.ErrorIs(t, err, pnp.ERROR_NOT_SUPPORTED)
}
