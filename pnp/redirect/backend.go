// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// newBackend makes the device that serves path.
func newBackend(b backend, path string, description pnp.Description, readOnly bool, log *slog.Logger) (pnp.Device, error) {
	opts := devnode.Options{Description: description, ReadOnly: readOnly, Log: log}
	switch b {
	case backendLoopback:
		if readOnly {
			return nil, fmt.Errorf("loopback cannot be read-only")
		}
		return loopback.New(description), nil
	case backendFile:
		return file.New(path, opts)
	case backendChar:
		return char.New(path, opts)
	case backendSerial:
		return serial.New(path, opts)
	case backendHID:
		return hid.New(path, opts)
	}
	return nil, fmt.Errorf("there is no backend %q", b)
}

// judged is a device that is opened only as the node that was decided on.
type judged struct {
	pnp.Device
	node pnp.NodeID
	// again judges a node that can come to stand for something else while it
	// stays the same: a loop device, a volume. It is nil for others.
	again func() error
}

// Open implements pnp.Device.
func (j *judged) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	r.Verify = j.verify
	return j.Device.Open(r)
}

// verify refuses another node than the one that was judged. A regular file may
// be replaced by another: no rule speaks of those.
func (j *judged) verify(node pnp.NodeID) error {
	switch {
	case node.Mode == unix.S_IFREG && j.node.Mode == unix.S_IFREG:
		return nil
	case node == j.node && j.again == nil:
		return nil
	case node == j.node:
		return j.again()
	}
	return fmt.Errorf("the path leads to another node than the one that was allowed: %w", pnp.ERROR_ACCESS_DENIED)
}

// Notify implements pnp.EventSource, for devices that raise events.
func (j *judged) Notify(sink func(pnp.Event)) {
	if src, ok := j.Device.(pnp.EventSource); ok {
		src.Notify(sink)
	}
}

// Close implements io.Closer, for devices that do.
func (j *judged) Close() error {
	if c, ok := j.Device.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
