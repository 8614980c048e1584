// SPDX-License-Identifier: Apache-2.0

// Package client is the client role of both sub-protocols: the side that has
// the devices ([MS-RDPEPNP] 3.2). A Session announces devices on PNPDR and
// serves the handles that the server opens, one FileRedirectorChannel each.
//
// # Concurrency
//
// All methods of a Session may be called from any goroutine. Receive runs on
// the transport's thread and never blocks: a request that its device can answer
// at once is answered there, and the device completes any other later. Whatever
// may block, in devices too, runs in a slot of the session's queue.Pool. Locks are
// taken in the order Session.mu, ioChannel.mu, outbox.mu; no device is called
// while one is held.
//
// # Shutting down
//
// Each channel ends with its Receiver's Closed: its handle is closed, which
// completes every pending request; results are dropped from then on. Session.Close
// ends the remaining channels, silences and closes the devices, and waits until
// every handle is released: no call of it is in a driver any more, and what it
// changed is restored.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
	"freerdp-pnpdr/pnp/wire"
)

// Config configures a Session. The zero value of each field is a sensible
// default.
type Config struct {
	Limits pnp.SessionLimits // zero: pnp.DefaultLimits
	Log    *slog.Logger
}

// Errors of Add and Accept.
var (
	ErrSecondPNPDR = errors.New("a PNPDR channel is open already (2.1: one active instance)")
	ErrEnded       = errors.New("the session has ended")
)

// Session is the client end of one RDP session's device redirection.
type Session struct {
	limits  pnp.SessionLimits
	log     *slog.Logger
	trace   bool // logs each request
	out     *outbox
	buffers buffers
	pool    *queue.Pool
	memory  *pnp.Memory

	stats    statistics
	requests atomic.Int64 // accepted, and their buffers not yet given back

	// handles are open, being opened, or closed and not yet released.
	handles  atomic.Int64
	released sync.WaitGroup
	crowded  sync.Once // tells that the process has no room for another handle

	mu       sync.Mutex
	closed   bool
	lastID   uint32
	handleID uint32 // the last one
	devices  map[uint32]*device
	info     *infoChannel
	channels map[*ioChannel]struct{}
}

// device is a pnp.Device while it is redirected.
type device struct {
	pnp.Device
	id          uint32
	since       time.Time
	description *pnp.Description
	name        string            // for the log
	limits      pnp.SessionLimits // the session's, tightened by its own
	workers     *queue.Share
	usage       usage // guarded by the outbox
	// announced says that some PNPDR channel announced the device. Until then
	// the server cannot know the id from us.
	announced bool
	// channels that are opening or have opened the device; guarded by
	// Session.mu.
	channels map[*ioChannel]struct{}
	tooLarge sync.Once
}

func (s *Session) newDevice(d pnp.Device, description *pnp.Description, own pnp.DeviceLimits) *device {
	dev := &device{
		Device: d, since: time.Now(), description: description, limits: s.limits.Within(own),
		workers: s.pool.NewShare(), channels: make(map[*ioChannel]struct{}),
	}
	if dev.name = dev.description.Name; dev.name == "" {
		dev.name = "a device without a name"
	}
	return dev
}

// NewSession makes a session without devices or channels.
func NewSession(cfg Config) *Session {
	if cfg.Limits == (pnp.SessionLimits{}) {
		cfg.Limits = pnp.DefaultLimits()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Session{
		limits:   cfg.Limits,
		log:      cfg.Log,
		trace:    tracing(cfg.Log),
		pool:     queue.NewPool(sessionSlots, deviceSlots, cfg.Log),
		memory:   pnp.NewMemory(cfg.Limits.KeptBytes()),
		devices:  make(map[uint32]*device),
		channels: make(map[*ioChannel]struct{}),
	}
	s.out = newOutbox(&s.limits)
	return s
}

// Add adds d to the session and announces it at once if the server is ready for
// it. The id is not used again while the session lasts (C-07). The session owns
// d from then on: if d is an io.Closer, it is closed when it is removed or the
// session ends.
func (s *Session) Add(d pnp.Device) (id uint32, err error) {
	return s.AddLimited(d, pnp.DeviceLimits{})
}

// AddLimited is Add for a device with limits of its own.
func (s *Session) AddLimited(d pnp.Device, own pnp.DeviceLimits) (id uint32, err error) {
	ids, err := s.AddAll([]pnp.Device{d}, own)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// AddAll adds several devices, each with these limits of its own. If it fails, it adds none.
func (s *Session) AddAll(devices []pnp.Device, own pnp.DeviceLimits) (ids []uint32, err error) {
	var added []*device
	for _, d := range devices {
		description, err := s.describe(d)
		if err != nil {
			return nil, err
		}
		added = append(added, s.newDevice(d, description, own))
	}
	s.mu.Lock()
	switch {
	case s.closed:
		err = ErrEnded
	case len(s.devices)+len(added) > s.limits.Devices || uint64(s.lastID)+uint64(len(added)) > math.MaxUint32:
		err = pnp.ErrTooMany
	}
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	for _, dev := range added {
		s.lastID++
		dev.id = s.lastID
		s.devices[dev.id] = dev
		ids = append(ids, dev.id)
	}
	s.mu.Unlock()

	for _, dev := range added {
		s.notify(dev, func(e pnp.Event) { s.raise(dev, e) })
	}
	s.mu.Lock()
	ended := s.closed
	if !ended && s.info != nil {
		s.info.announce()
	}
	s.mu.Unlock()
	if ended {
		for _, dev := range added {
			s.notify(dev, nil) // Close may have silenced it before it was set
		}
		return nil, ErrEnded
	}
	return ids, nil
}

// describe asks a device for its description.
func (s *Session) describe(d pnp.Device) (description *pnp.Description, err error) {
	defer pnp.Guard(s.log, "describing a device", func() { description, err = nil, pnp.E_UNEXPECTED })
	if description = d.Description(); description == nil {
		err = errors.New("the device has no description")
	}
	return description, err
}

// notify sets where the events of a device go, if it has any. One that panics
// is served without them.
func (s *Session) notify(dev *device, sink func(pnp.Event)) {
	defer pnp.Guard(s.log, "arranging for the events of "+dev.name, nil)
	if src, ok := dev.Device.(pnp.EventSource); ok {
		src.Notify(sink)
	}
}

// Remove removes a device from the session. The server is told if it knew of
// the device, and pending and later requests on its handles fail with
// ERROR_DEVICE_NOT_CONNECTED (C-32). An unknown id is ignored.
func (s *Session) Remove(id uint32) {
	s.mu.Lock()
	dev := s.devices[id]
	if dev == nil {
		s.mu.Unlock()
		return
	}
	delete(s.devices, id)
	open := slices.Collect(maps.Keys(dev.channels))
	s.mu.Unlock()

	for _, c := range open {
		c.deviceGone()
	}
	// Last, so that no request succeeds after the server knows.
	s.mu.Lock()
	if s.info != nil {
		s.info.retract(id)
	}
	s.mu.Unlock()
	s.retire(dev)
}

// retire silences and closes a device that is no longer in any list.
func (s *Session) retire(dev *device) {
	s.notify(dev, nil)
	defer pnp.Guard(s.log, "closing "+dev.name, nil)
	if c, ok := dev.Device.(io.Closer); ok {
		c.Close()
	}
}

// Accept takes a channel that the server opens. An error refuses it.
func (s *Session) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrEnded
	}
	switch name {
	case channels.PNPDR:
		if s.info != nil {
			return nil, ErrSecondPNPDR
		}
		s.info = &infoChannel{s: s, conn: conn, quota: quota{limits: &s.limits, device: new(usage)}, announced: make(map[uint32]bool)}
		return s.info, nil
	case channels.FileRedirectorChannel:
		// Besides the allowed handles, some channels may wait for their
		// CreateFile, but not without a bound.
		if len(s.channels) >= 2*s.limits.Handles {
			return nil, pnp.ErrTooMany
		}
		c := &ioChannel{s: s, conn: conn, quota: quota{limits: &s.limits, device: new(usage)}, pending: make(map[requestID]*request)}
		s.channels[c] = struct{}{}
		return c, nil
	}
	return nil, fmt.Errorf("[MS-RDPEPNP] has no channel %q", name)
}

// raise sends a custom event on every open handle of dev (C-31).
func (s *Session) raise(dev *device, e pnp.Event) {
	if len(e.Data) > dev.limits.EventData {
		dev.tooLarge.Do(func() { // once: a server may be able to cause any number of them
			s.log.Warn("event is dropped: it is longer than the limit", "device", dev.name, "bytes", len(e.Data), "limit", dev.limits.EventData)
		})
		return
	}
	s.mu.Lock()
	open := slices.Collect(maps.Keys(dev.channels))
	s.mu.Unlock()
	if len(open) == 0 {
		return
	}
	msg := wire.CustomEvent{CustomEventGUID: e.GUID, Data: e.Data}.Append(nil)
	for _, c := range open {
		c.event(msg)
	}
}

// Close ends the session and everything in it, and waits until every handle is
// released or ctx is done: a call may be stuck in a driver that hangs. The
// transport must not deliver anything any more.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	open := slices.Collect(maps.Keys(s.channels))
	devices := slices.Collect(maps.Values(s.devices))
	clear(s.devices)
	info := s.info
	s.mu.Unlock()

	if info != nil {
		info.Closed()
	}
	for _, c := range open {
		c.Closed()
	}
	for _, d := range devices {
		s.retire(d)
	}

	done := make(chan struct{})
	go func() {
		s.released.Wait()
		close(done)
	}()
	select {
	case <-done:
		return s.pool.Wait(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Counts is what a session holds; all are zero when it has ended well. Handles
// includes handles that are closed and not yet released. Slots is how many are
// in use, and Kept how many bytes handles keep although no request asked for them.
type Counts struct {
	Channels, Handles, Requests, Buffers, Slots, Kept int
}

// Counts returns what the session holds now.
func (s *Session) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.channels)
	if s.info != nil {
		n++
	}
	return Counts{
		Channels: n,
		Handles:  int(s.handles.Load()),
		Requests: int(s.requests.Load()),
		Buffers:  int(s.buffers.lent.Load()),
		Slots:    s.pool.Running(),
		Kept:     int(s.memory.Taken()),
	}
}
