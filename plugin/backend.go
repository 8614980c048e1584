package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/char"
	"freerdp-pnpdr/pnp/file"
	"freerdp-pnpdr/pnp/hid"
	"freerdp-pnpdr/pnp/loopback"
	"freerdp-pnpdr/pnp/serial"
)

// newBackend makes the device that serves path.
func newBackend(b backend, path string, description pnp.Description, readOnly bool, log *slog.Logger) (pnp.Device, error) {
	switch b {
	case backendLoopback:
		if readOnly {
			return nil, fmt.Errorf("loopback cannot be read-only")
		}
		return loopback.New(description), nil
	case backendFile:
		return file.New(path, file.Options{Description: description, ReadOnly: readOnly, Log: log})
	case backendChar:
		return char.New(path, char.Options{Description: description, ReadOnly: readOnly, Log: log})
	case backendSerial:
		return serial.New(path, serial.Options{Description: description, ReadOnly: readOnly, Log: log})
	case backendHID:
		return hid.New(path, hid.Options{Description: description, ReadOnly: readOnly, Log: log})
	}
	return nil, fmt.Errorf("there is no backend %q", b)
}

// bounded is a device as it was decided on: of which at most max handles are
// open at a time, and only of the node that was judged.
type bounded struct {
	pnp.Device
	node pnp.NodeID // zero for a device without one
	max  int32      // 0 for no limit
	open atomic.Int32
}

// Open implements pnp.Device.
func (b *bounded) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if n := b.open.Add(1); b.max > 0 && n > b.max {
		b.open.Add(-1)
		return nil, pnp.ERROR_TOO_MANY_OPEN_FILES
	}
	if b.node != (pnp.NodeID{}) {
		r.Verify = b.verify
	}
	h, err := b.Device.Open(r)
	if err != nil {
		b.open.Add(-1)
		return nil, err
	}
	return &boundedHandle{Handle: h, b: b}, nil
}

// verify refuses another node than the one that was judged. A regular file may
// be replaced by another: no rule speaks of those.
func (b *bounded) verify(node pnp.NodeID) error {
	if node == b.node || node.Mode == unix.S_IFREG && b.node.Mode == unix.S_IFREG {
		return nil
	}
	return fmt.Errorf("the path leads to another node than the one that was allowed: %w", pnp.ERROR_ACCESS_DENIED)
}

// Notify implements pnp.EventSource, for devices that raise events.
func (b *bounded) Notify(sink func(pnp.Event)) {
	if src, ok := b.Device.(pnp.EventSource); ok {
		src.Notify(sink)
	}
}

// Close implements io.Closer, for devices that do.
func (b *bounded) Close() error {
	if c, ok := b.Device.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

type boundedHandle struct {
	pnp.Handle
	b *bounded
}

// Close implements pnp.Handle.
func (h *boundedHandle) Close() {
	h.Handle.Close()
	h.b.open.Add(-1)
}
