package main

import (
	"fmt"
	"io"
	"log/slog"

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

// judged is a device that is opened only as the node that was decided on.
type judged struct {
	pnp.Device
	node pnp.NodeID
}

// Open implements pnp.Device.
func (j *judged) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	r.Verify = j.verify
	return j.Device.Open(r)
}

// verify refuses another node than the one that was judged. A regular file may
// be replaced by another: no rule speaks of those.
func (j *judged) verify(node pnp.NodeID) error {
	if node == j.node || node.Mode == unix.S_IFREG && j.node.Mode == unix.S_IFREG {
		return nil
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
