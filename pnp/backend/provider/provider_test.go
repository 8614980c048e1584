// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/provider"
	"freerdp-pnpdr/pnp/provide"
	"freerdp-pnpdr/pnp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// source is a provider that anybody may be, at path.
func source(path string) backend.Source {
	return backend.Source{
		Path: path, Log: quiet,
		Describe: func(d pnp.Description) pnp.Description { return d },
		Owner:    func(uint32) error { return nil },
	}
}

// attended is what Attend tells.
type attended struct {
	come chan pnp.Device
	gone chan struct{}
	stop func() // ends Attend and waits for it
}

func attend(t *testing.T, src backend.Source) *attended {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attended{come: make(chan pnp.Device, 1), gone: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- provider.Attend(ctx, src, func(d pnp.Device) (func(), error) {
			a.come <- d
			return func() { a.gone <- struct{}{} }, nil
		})
	}()
	a.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(a.stop)
	return a
}

// run serves d as a provider; end ends it.
func run(t *testing.T, d pnp.Device) (path string, end func()) {
	path = filepath.Join(t.TempDir(), "provider")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- provide.Device(ctx, path, d, quiet) }()
	end = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(end)
	return path, end
}

// TestSuite: a device keeps its promises in another process, too.
func TestSuite(t *testing.T) {
	echo := []byte("0123456789")
	acceptance.Run(t, acceptance.Fixture{
		AnyOpen: true, AnyOffset: true,
		New: func(t *testing.T) acceptance.Instance {
			d := loopback.New(loopback.DefaultDescription())
			content := acceptance.Pattern(loopback.Size)
			fill(t, d, content)
			path, end := run(t, d)
			a := attend(t, source(path))
			forever := binary.LittleEndian.AppendUint32(nil, loopback.Forever)
			return acceptance.Instance{
				Device: <-a.come, Content: content, Unplug: end,
				Blocking: []acceptance.Template{{Name: "wait", Op: pnp.OpIOControl, Code: loopback.IOCTL_WAIT, In: forever}},
				Controls: []acceptance.Control{{
					Template: acceptance.Template{Name: "echo", Op: pnp.OpIOControl, Code: loopback.IOCTL_ECHO, In: echo, Len: 4},
					Out:      echo[:4],
				}},
			}
		},
	})
}

func fill(t *testing.T, d pnp.Device, content []byte) {
	h, err := d.Open(pnp.OpenRequest{})
	require.NoError(t, err)
	r := &pnp.Request{Op: pnp.OpWrite, In: content}
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { require.Equal(t, pnp.S_OK, hr) })
	h.Submit(r)
	h.Close(func() {})
}

// TestFileSuite does the same for a device that looks at access and share modes.
func TestFileSuite(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{
		Grows: true,
		New: func(t *testing.T) acceptance.Instance {
			content := acceptance.Pattern(64 << 10)
			name := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(name, content, 0o600))
			d, err := file.New(backend.Source{Path: name, Description: pnp.Description{Name: "file"}})
			require.NoError(t, err)
			path, _ := run(t, d)
			a := attend(t, source(path))
			return acceptance.Instance{Device: <-a.come, Content: content}
		},
	})
}

// TestComesAndGoes: the device is there as long as its process, again and again.
func TestComesAndGoes(t *testing.T) {
	path, end := run(t, loopback.New(loopback.DefaultDescription()))
	a := attend(t, source(path))
	for range 3 {
		d := <-a.come
		require.Equal(t, "Ts Fake Device", d.Description().Name)
		h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ})
		require.NoError(t, err)
		end()
		<-a.gone
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)}))
		released := make(chan struct{})
		h.Close(func() { close(released) })
		<-released
		_, err = d.Open(pnp.OpenRequest{})
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, err)

		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- provide.Device(ctx, path, loopback.New(loopback.DefaultDescription()), quiet) }()
		end = func() { cancel(); require.NoError(t, <-ended) }
	}
	<-a.come
	a.stop()
	<-a.gone
	end()
}

// submit returns the result of a request.
func submit(h pnp.Handle, r *pnp.Request) pnp.HRESULT {
	done := make(chan pnp.HRESULT, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { done <- hr })
	h.Submit(r)
	return <-done
}

// TestEvents: an event comes once, however many handles are open.
func TestEvents(t *testing.T) {
	path, _ := run(t, loopback.New(loopback.DefaultDescription()))
	a := attend(t, source(path))
	d := <-a.come
	events := make(chan pnp.Event, 8)
	d.(pnp.EventSource).Notify(func(e pnp.Event) { e.Data = append([]byte(nil), e.Data...); events <- e })
	var handles []pnp.Handle
	for range 3 {
		h, err := d.Open(pnp.OpenRequest{})
		require.NoError(t, err)
		defer h.Close(func() {})
		handles = append(handles, h)
	}
	guid := pnp.MustGUID("{5C5F2E64-9BD5-4E1A-9F3C-7F0E3A0E8B11}")
	for _, text := range []string{"first", "second"} {
		require.Equal(t, pnp.S_OK, submit(handles[1], &pnp.Request{Op: pnp.OpIOControl, Code: loopback.IOCTL_RAISE_EVENT, In: append(guid[:], text...)}))
		e := <-events
		require.Equal(t, guid, e.GUID)
		require.Equal(t, text, string(e.Data))
	}
	require.Empty(t, events)
}

// TestSourceIsComplete: nothing is followed without the checks that the source brings.
func TestSourceIsComplete(t *testing.T) {
	for name, remove := range map[string]func(*backend.Source){
		"Path":     func(src *backend.Source) { src.Path = "" },
		"Describe": func(src *backend.Source) { src.Describe = nil },
		"Owner":    func(src *backend.Source) { src.Owner = nil },
	} {
		path, end := run(t, loopback.New(loopback.DefaultDescription()))
		src := source(path)
		remove(&src)
		require.Error(t, provider.Attend(context.Background(), src, nil), name)
		end()
	}
}

// TestStrangersAreRefused: nothing is sent to a process that is nobody's.
func TestStrangersAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stranger")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	src := source(path)
	src.Owner = func(uid uint32) error {
		require.Equal(t, uint32(os.Getuid()), uid)
		return pnp.ERROR_ACCESS_DENIED
	}
	attend(t, src)
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	n, err := c.Read(make([]byte, 1))
	require.Zero(t, n)
	require.ErrorIs(t, err, io.EOF)
}

// TestLyingProviders: whatever a provider says, it has no device in the end.
func TestLyingProviders(t *testing.T) {
	for name, says := range map[string][]byte{
		"nonsense":        []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"empty message":   {0, 0, 0, 0},
		"endless message": {0xFF, 0xFF, 0xFF, 0xFF, 1},
		"half a header":   framed([]byte{1, 2, 3}),
		"too many":        framed(additions(17)),
		"long name":       framed(addition(1, strings.Repeat("x", 40<<10))),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "liar")
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer l.Close()
			a := attend(t, source(path))
			c, err := l.Accept()
			require.NoError(t, err)
			defer c.Close()
			_, err = c.Write(framed(wire.OurVersion.Append(nil)))
			require.NoError(t, err)
			hello := bytes.Join([][]byte{
				framed([]byte(channels.PNPDR)), framed(wire.OurVersion.Append(nil)), framed(wire.AuthenticatedClient{}.Append(nil)),
			}, nil)
			got := make([]byte, len(hello))
			_, err = io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, hello, got)
			_, err = c.Write(says)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, c) // until the other end has closed it
			a.stop()
			require.Len(t, a.gone, len(a.come))
		})
	}
}

func framed(msg []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(msg))), msg...)
}

func addition(id uint32, name string) []byte {
	d := wire.NewDeviceDescription(id, &pnp.Description{Name: name, HardwareIDs: []string{"A"}})
	return wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: d.Append(nil)}.Append(nil)
}

func additions(n uint32) []byte {
	var all []byte
	for id := range n {
		d := wire.NewDeviceDescription(id, &pnp.Description{Name: "x", HardwareIDs: []string{"A"}})
		all = d.Append(all)
	}
	return wire.DeviceAddition{DeviceCount: n, DeviceDescriptions: all}.Append(nil)
}

// TestSilentProvider: a request that its provider does not answer can be cancelled, but
// its memory counts until the connection ends.
func TestSilentProvider(t *testing.T) {
	path, _ := run(t, silent{})
	a := attend(t, source(path))
	h, err := (<-a.come).Open(pnp.OpenRequest{})
	require.NoError(t, err)
	freed := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)}
	done := make(chan pnp.HRESULT, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { done <- hr })
	r.OnFree(func(*pnp.Request) { close(freed) })
	h.Submit(r)
	h.Cancel(r)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, <-done, "it is answered although the provider does not reply")
	select {
	case <-freed:
		require.Fail(t, "the memory counts until the provider replies")
	default:
	}
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-freed
	<-released
}

// silent is a device that never completes a request, whatever is asked of it.
type silent struct{}

func (silent) Description() *pnp.Description            { return &pnp.Description{Name: "silent"} }
func (silent) Open(pnp.OpenRequest) (pnp.Handle, error) { return &silentHandle{}, nil }

type silentHandle struct {
	mu      sync.Mutex
	pending []*pnp.Request
}

func (h *silentHandle) Submit(r *pnp.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending = append(h.pending, r)
}
func (h *silentHandle) Cancel(*pnp.Request) {}
func (h *silentHandle) Close(released func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.pending {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	released()
}
