// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// sized is a device of so many bytes, whose answer to an IOControl is out or err.
type sized struct {
	size  uint64
	out   []byte
	err   error
	end   error // of a read behind the end
	whole bool  // a read must not reach behind the end
	reads int
}

func (d *sized) IOControl(_ context.Context, _ uint32, _, out []byte) (int, error) {
	return copy(out, d.out), d.err
}

func (d *sized) ReadAt(_ context.Context, p []byte, off uint64) (int, error) {
	d.reads++
	if off >= d.size || d.whole && d.size-off < uint64(len(p)) {
		return 0, d.end
	}
	return int(min(uint64(len(p)), d.size-off)), nil
}

func TestLength(t *testing.T) {
	u64 := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
	for _, size := range []uint64{0, 1, 1 << 40, math.MaxInt64} {
		d := &sized{out: u64(size)}
		got, found, err := length(bg, d)
		require.NoError(t, err)
		assert.Equal(t, size, got)
		assert.False(t, found)
		assert.Zero(t, d.reads)
	}
	for _, size := range []uint64{math.MaxInt64 + 1, math.MaxUint64} {
		_, _, err := length(bg, &sized{out: u64(size)})
		assert.ErrorIs(t, err, unix.EOVERFLOW)
	}
	_, _, err := length(bg, &sized{err: pnp.ERROR_DEVICE_NOT_CONNECTED})
	assert.ErrorIs(t, err, pnp.ERROR_DEVICE_NOT_CONNECTED)
}

// TestFindLength: a client that does not tell the length.
func TestFindLength(t *testing.T) {
	for _, size := range []uint64{0, 1, 511, 512, 513, 1024, 1025, 100_000, 1 << 32, 5<<40 + 3} {
		for _, end := range []error{pnp.ERROR_HANDLE_EOF, pnp.ERROR_INVALID_PARAMETER, io.EOF, nil} {
			d := &sized{size: size, err: pnp.ERROR_INVALID_FUNCTION, end: end}
			got, found, err := length(bg, d)
			require.NoError(t, err)
			assert.Equal(t, size, got, "%v", end)
			assert.True(t, found)
			assert.Less(t, d.reads, 150)
		}
	}
	// A disk of 512-byte sectors that cannot read across its end.
	got, _, err := length(bg, &sized{size: 77 * 512, err: pnp.ERROR_NOT_SUPPORTED, end: pnp.HRESULT(0x8007001B), whole: true})
	require.NoError(t, err)
	assert.EqualValues(t, 77*512, got)
	// An answer that makes no sense is none.
	got, found, err := length(bg, &sized{size: 600, out: make([]byte, 4)})
	require.NoError(t, err)
	assert.EqualValues(t, 600, got)
	assert.True(t, found)

	d := &sized{size: math.MaxUint64, err: pnp.E_NOTIMPL}
	_, _, err = length(bg, d)
	assert.ErrorIs(t, err, unix.EOVERFLOW)
	assert.Less(t, d.reads, 100)

	ctx, cancel := context.WithCancel(bg)
	cancel()
	_, _, err = length(ctx, &cancelled{})
	assert.ErrorIs(t, err, context.Canceled)
}

// cancelled fails as a handle does once its context has ended.
type cancelled struct{}

func (*cancelled) ReadAt(ctx context.Context, _ []byte, _ uint64) (int, error) { return 0, ctx.Err() }
func (*cancelled) IOControl(context.Context, uint32, []byte, []byte) (int, error) {
	return 0, pnp.ERROR_INVALID_FUNCTION
}

// liar is a device that answers the question for its length as it likes.
type liar struct {
	pnp.Device
	answer func(*pnp.Request)
}

func (d liar) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.Device.Open(r)
	if err != nil {
		return nil, err
	}
	return lyingHandle{h, d.answer}, nil
}

type lyingHandle struct {
	pnp.Handle
	answer func(*pnp.Request)
}

func (h lyingHandle) Submit(r *pnp.Request) {
	if r.Op == pnp.OpIOControl && r.Code == pnp.IOCTL_DISK_GET_LENGTH_INFO {
		h.answer(r)
		return
	}
	h.Handle.Submit(r)
}

// saying answers with a length.
func saying(size uint64) func(*pnp.Request) {
	return func(r *pnp.Request) {
		binary.LittleEndian.PutUint64(r.Out, size)
		r.Complete(pnp.S_OK, 8)
	}
}

// TestForgedLengths: whatever a client says of the length, programs end.
func TestForgedLengths(t *testing.T) {
	content := pattern(300_000)
	for _, c := range []struct {
		name    string
		answer  func(*pnp.Request)
		problem string
		want    []byte // may be followed by zeros
	}{
		{"unknown", func(r *pnp.Request) { r.Complete(pnp.ERROR_INVALID_FUNCTION, 0) }, "", content},
		{"half an answer", func(r *pnp.Request) { r.Complete(pnp.S_OK, 4) }, "", content},
		{"shorter", saying(1000), "", content[:1000]},
		{"longer", saying(400_000), "", content},
		{"2^63-1", saying(math.MaxInt64), "", content},
		{"2^63", saying(1 << 63), "Value too large", nil},
		{"2^64-1", saying(math.MaxUint64), "Value too large", nil},
		{"error", func(r *pnp.Request) { r.Complete(pnp.ERROR_IO_DEVICE, 0) }, "Input/output error", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := presenttest.NewPair(t, server.Config{}, liar{fileDevice(t, newFile(t, content), false), c.answer})
			data := add(t, mountFS(t), p, "disk", randomKind)
			out, err := try(t, nil, "cat", data)
			if c.problem != "" {
				assert.Error(t, err)
				assert.Contains(t, out, c.problem)
				return
			}
			assert.NoError(t, err)
			require.GreaterOrEqual(t, len(out), len(c.want))
			assert.True(t, string(c.want) == out[:len(c.want)])
			// The kernel believed the length when it began to read.
			assert.Empty(t, strings.Trim(out[len(c.want):], "\x00"))
			assert.Less(t, len(out), 2<<20)
		})
	}
}

// TestFoundLength: a length that was found by reading is believed for a minute, as long as
// somebody uses the file.
func TestFoundLength(t *testing.T) {
	unknown := func(r *pnp.Request) { r.Complete(pnp.ERROR_INVALID_FUNCTION, 0) }
	local := newFile(t, pattern(5000))
	p := presenttest.NewPair(t, server.Config{}, liar{fileDevice(t, local, false), unknown})
	f := mountFS(t)
	data := add(t, f, p, "disk", randomKind)
	size := func() string { return strings.TrimSpace(run(t, "stat", "-c", "%s", data)) }
	grow := func(to int) { require.NoError(t, os.WriteFile(local, pattern(to), 0o600)) }
	reader := start(t, "sh", "-c", `exec 3<"$0" && echo open && exec sleep 1000`, data)
	reader.begun()
	require.Equal(t, "5000", size())
	grow(6000)
	time.Sleep(sizeValid)
	require.Equal(t, "5000", size())

	f.mu.Lock()
	r := f.root.children["disk"].(*dir).children["data"].(*file).content.(*random)
	f.mu.Unlock()
	require.NoError(t, r.lock(bg))
	r.asked = r.asked.Add(-foundValid / 2)
	r.unlock()
	require.Equal(t, "5000", size())
	require.NoError(t, r.lock(bg))
	r.asked = r.asked.Add(-foundValid / 2)
	r.unlock()
	require.Equal(t, "6000", size())

	reader.signal(unix.SIGTERM)
	reader.wait()
	require.Eventually(t, func() bool { return p.Client.Counts().Handles == 0 }, presenttest.Patience, sizeValid/100)
	grow(7000)
	require.Equal(t, "7000", size())
}

// TestBusyClient: a client that has too many requests of others is asked again.
func TestBusyClient(t *testing.T) {
	var asked atomic.Int32
	d := fileDevice(t, newFile(t, pattern(5000)), false)
	p := presenttest.NewPair(t, server.Config{}, busyNow{d, &asked})
	data := add(t, mountFS(t), p, "disk", randomKind)
	require.Equal(t, "5000\n", run(t, "stat", "-c", "%s", data))
	run(t, "dd", "if=/dev/zero", "of="+data, "bs=100", "count=1", "conv=notrunc,fsync")
	require.Greater(t, asked.Load(), int32(3), "the length, whether it may be written to, and to flush it")
}

// busyNow is a device that refuses every other request.
type busyNow struct {
	pnp.Device
	asked *atomic.Int32
}

func (d busyNow) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.Device.Open(r)
	return busyHandle{h, d.asked}, err
}

type busyHandle struct {
	pnp.Handle
	asked *atomic.Int32
}

func (h busyHandle) Submit(r *pnp.Request) {
	if h.asked.Add(1)%2 == 1 {
		r.Complete(pnp.ERROR_NO_SYSTEM_RESOURCES, 0)
		return
	}
	h.Handle.Submit(r)
}
