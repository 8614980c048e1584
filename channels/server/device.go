// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"slices"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Device is a device that the client redirects.
type Device struct {
	s    *Session
	id   uint32
	size int
	desc *pnp.Description

	arrival uint64 // counts the devices of the session

	gone chan struct{}

	// queued is the device's addition while it waits in s.pending.
	queued *list.Element

	copies copies
	events registrations
}

// ID returns the ClientDeviceID.
func (d *Device) ID() uint32 { return d.id }

// Description returns the client's description of the device. The session owns
// it; it must not be changed.
func (d *Device) Description() *pnp.Description { return d.desc }

// Gone is closed when the client has removed the device, PNPDR has ended, or the
// session was closed. Handles of a device that the client removed stay open until
// they are closed, but expect their requests to fail.
func (d *Device) Gone() <-chan struct{} { return d.gone }

// leave is called once, with s.mu held.
func (d *Device) leave() {
	close(d.gone)
	d.events.close()
}

func (d *Device) isGone() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// Devices returns the known devices in order of arrival.
func (s *Session) Devices() []*Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// WaitDevice returns the first device for which match returns true (any, if
// match is nil) as soon as there is one. match is called once for each device.
// WaitDevice fails with the error of ctx, or with ErrClosed if the session or
// PNPDR has ended, so that no device can arrive any more.
func (s *Session) WaitDevice(ctx context.Context, match func(*Device) bool) (*Device, error) {
	var seen uint64 // the arrival of the last device that match was called for
	for {
		s.mu.Lock()
		changed := s.changed
		// Newest first: most of the time there is one that is new.
		var devices []*Device
		for _, d := range slices.Backward(s.order) {
			if d.arrival <= seen {
				break
			}
			devices = append(devices, d)
		}
		over := s.closed || s.info != nil && s.info.ended
		s.mu.Unlock()
		for _, d := range slices.Backward(devices) {
			seen = d.arrival
			if match == nil || match(d) {
				return d, nil
			}
		}
		if over {
			return nil, fmt.Errorf("waiting for a device: %w", channels.ErrClosed)
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// announce wakes every WaitDevice. The caller holds s.mu.
func (s *Session) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// DeviceEvent says that a device has come or gone.
type DeviceEvent struct {
	Device  *Device
	Removed bool
}

// notifyAdded queues the news that d has arrived. The caller holds s.mu.
//
// The queue is bounded, yet nothing is lost: it has at most one addition for
// each device that is known now (notifyRemoved takes back the others) and one
// removal for each that was known when the running callback began.
func (s *Session) notifyAdded(d *Device) {
	if s.cfg.OnDevice == nil {
		return
	}
	d.queued = s.pending.PushBack(DeviceEvent{Device: d})
	s.notify()
}

// notifyRemoved queues the news that d has gone, or takes back the news that it
// arrived. The caller holds s.mu.
func (s *Session) notifyRemoved(d *Device) {
	switch {
	case s.cfg.OnDevice == nil:
	case d.queued != nil:
		s.pending.Remove(d.queued)
		d.queued = nil
	default:
		s.pending.PushBack(DeviceEvent{Device: d, Removed: true})
		s.notify()
	}
}

// notify starts the goroutine that makes the callbacks if it is not running.
// The caller holds s.mu.
func (s *Session) notify() {
	if !s.notifying {
		s.notifying = true
		go s.makeCallbacks()
	}
}

func (s *Session) makeCallbacks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Close empties the queue, and nothing is added from then on.
	for s.pending.Len() > 0 {
		ev := s.pending.Remove(s.pending.Front()).(DeviceEvent)
		ev.Device.queued = nil
		s.mu.Unlock()
		s.callOnDevice(ev)
		s.mu.Lock()
	}
	s.notifying = false
}

func (s *Session) callOnDevice(ev DeviceEvent) {
	defer s.recovered("OnDevice")
	s.cfg.OnDevice(ev)
}

// OpenOptions are the parameters of Device.Open.
type OpenOptions struct {
	// Access, Share, Disposition and Flags are the fields of CreateFile
	// (2.2.2.3.1). Each that is zero is sent as Windows sends it: 0xC0000000,
	// 3, OPEN_EXISTING, 0x40000080. Open fails with ERROR_INVALID_PARAMETER if
	// one other than Access has a value or bit that the specification does not
	// name.
	Access      uint32
	Share       uint32
	Disposition uint32
	Flags       uint32
	// Exact sends Access, Share and Flags as they are, even if they are zero.
	Exact bool

	// Version is the version of the Device I/O Subprotocol to announce; 0 means
	// 6. Below 6 there are no custom events.
	Version uint16

	// DataOut sends the contents of the output buffer with each IOControl
	// (DataOut, 2.2.2.3.7), for devices that read more input from it. Windows
	// does not do so.
	DataOut bool
}

// FlagBits are the bits that dwFlagsAndAttributes may have: FILE_ATTRIBUTE_DIRECTORY to
// _NORMAL, and FILE_FLAG_FIRST_PIPE_INSTANCE to _WRITE_THROUGH.
const FlagBits = 0x000000F0 | 0xFF380000

const (
	// shareModes are the bits that dwShareMode may have.
	shareModes = pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE

	// defaultFlags are FILE_ATTRIBUTE_NORMAL and FILE_FLAG_OVERLAPPED, which
	// Windows sends (example 4.4 (1)).
	defaultFlags = 0x40000080
)

// setDefaults sets what was left out and checks the rest (W-43, W-44).
func (o *OpenOptions) setDefaults() error {
	if !o.Exact {
		o.Access = cmp.Or(o.Access, pnp.GENERIC_READ|pnp.GENERIC_WRITE)
		o.Share = cmp.Or(o.Share, shareModes)
		o.Flags = cmp.Or(o.Flags, defaultFlags)
	}
	o.Disposition = cmp.Or(o.Disposition, pnp.OPEN_EXISTING)
	o.Version = cmp.Or(o.Version, wire.VersionWithCustomEvents)
	switch {
	case o.Share&^shareModes != 0:
		return fmt.Errorf("dwShareMode 0x%X: %w", o.Share, pnp.ERROR_INVALID_PARAMETER)
	case o.Disposition > pnp.TRUNCATE_EXISTING:
		return fmt.Errorf("dwCreationDisposition %d: %w", o.Disposition, pnp.ERROR_INVALID_PARAMETER)
	case o.Flags&^FlagBits != 0:
		return fmt.Errorf("dwFlagsAndAttributes 0x%08X: %w", o.Flags, pnp.ERROR_INVALID_PARAMETER)
	}
	return nil
}

// Open opens a handle of the device on a FileRedirectorChannel of its own. The
// caller closes the handle. If the device has gone, Open fails with
// ERROR_DEVICE_NOT_CONNECTED.
//
// CreateFile cannot be cancelled: if ctx ends, the channel is closed.
func (d *Device) Open(ctx context.Context, opt OpenOptions) (*Handle, error) {
	var h *Handle
	err := opt.setDefaults()
	if err == nil {
		h, err = d.open(ctx, opt)
	}
	if err != nil {
		return nil, fmt.Errorf("opening device %d: %w", d.id, err)
	}
	return h, nil
}

func (d *Device) open(ctx context.Context, opt OpenOptions) (*Handle, error) {
	if d.isGone() {
		return nil, pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	h := newHandle(d, opt)
	if err := d.s.openChannel(ctx, channels.FileRedirectorChannel, h.attach); err != nil {
		return nil, err
	}
	if d.s.ctx.Err() != nil {
		h.end(errSessionClosed)
	}
	if err := h.create(ctx); err != nil {
		h.end(fmt.Errorf("%w: %w", channels.ErrClosed, err))
		return nil, err
	}
	return h, nil
}
