package main

import (
	"fmt"
	"log/slog"
	"sync/atomic"

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

// limited is a device of which at most max handles are open at a time.
type limited struct {
	pnp.Device
	max  int32
	open atomic.Int32
}

// limit returns d itself if max is 0.
func limit(d pnp.Device, max int) pnp.Device {
	if max == 0 {
		return d
	}
	return &limited{Device: d, max: int32(max)}
}

// Open implements pnp.Device.
func (l *limited) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if l.open.Add(1) > l.max {
		l.open.Add(-1)
		return nil, pnp.ERROR_TOO_MANY_OPEN_FILES
	}
	h, err := l.Device.Open(r)
	if err != nil {
		l.open.Add(-1)
		return nil, err
	}
	return &limitedHandle{Handle: h, l: l}, nil
}

// Notify implements pnp.EventSource, for devices that raise events.
func (l *limited) Notify(sink func(pnp.Event)) {
	if src, ok := l.Device.(pnp.EventSource); ok {
		src.Notify(sink)
	}
}

type limitedHandle struct {
	pnp.Handle
	l *limited
}

// Close implements pnp.Handle.
func (h *limitedHandle) Close() {
	h.l.open.Add(-1)
	h.Handle.Close()
}
