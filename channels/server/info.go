// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// infoChannel is the receiver of PNPDR: the server's side of the PNP Device
// Info Subprotocol (3.3.5.1).
type infoChannel struct {
	s       *Session
	release func()
	dropped quiet

	// Guarded by s.mu.
	conn          channels.ServerConn
	greeted       bool // Server Version was sent
	answered      bool // Client Version has come
	exchanged     bool // both, while the channel was open
	authenticated bool // Authenticated Client was sent
	ended         bool
	err           error // why, if by us

	ready chan struct{} // closed with exchanged
	done  chan struct{} // closed with ended
}

// start opens the channel and exchanges versions. If it fails, the channel has
// ended.
func (i *infoChannel) start(ctx context.Context) error {
	s := i.s
	err := s.openChannel(ctx, channels.PNPDR, func(conn channels.ServerConn, release func()) channels.Receiver {
		s.mu.Lock()
		defer s.mu.Unlock()
		i.conn, i.release = conn, release
		return i
	})
	if err != nil {
		return err
	}

	// 3.3.5.1.1.1: Server Version is the first message. greeted is set only
	// after it, so nothing can overtake it; the answer may arrive while Send is
	// still running.
	if err := i.conn.Send(wire.OurVersion.Append(nil)); err != nil {
		i.end(err)
		i.conn.Close()
		return err
	}
	s.mu.Lock()
	i.greeted = true
	logon := i.exchange()
	s.mu.Unlock()
	if logon {
		i.sendAuthenticated()
	}
	if s.ctx.Err() != nil {
		i.end(errSessionClosed)
		i.conn.Close()
	}

	select {
	case <-i.ready:
	case <-i.done:
	case <-ctx.Done():
	}
	if i.giveUp(ctx) {
		i.conn.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.exchanged {
		return nil
	}
	return i.err
}

// giveUp ends the channel because ctx is done, unless something else has ended
// or completed the exchange first.
func (i *infoChannel) giveUp(ctx context.Context) bool {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	if i.exchanged || i.ended {
		return false
	}
	i.endLocked(ctx.Err())
	return true
}

// exchange is called with s.mu held after greeted or answered was set. It
// reports whether Authenticated Client must be sent.
func (i *infoChannel) exchange() (logon bool) {
	if i.ended || !i.greeted || !i.answered {
		return false
	}
	i.exchanged = true
	close(i.ready)
	logon, i.s.logon = i.s.logon, false
	// Before it is sent: the devices may arrive while Send is running.
	i.authenticated = logon
	return logon
}

func (i *infoChannel) sendAuthenticated() error {
	return i.conn.Send(wire.AuthenticatedClient{}.Append(nil))
}

// Receive implements channels.Receiver.
func (i *infoChannel) Receive(msg []byte) error {
	err := i.receive(msg)
	if err != nil {
		i.s.log.Error("PNPDR is closed: the client broke the protocol", "err", err)
		i.end(fmt.Errorf("%w: %w", channels.ErrClosed, err))
	}
	return err
}

// Closed implements channels.Receiver.
func (i *infoChannel) Closed() {
	i.end(channels.ErrClosed)
	i.release()
}

// end stops the channel from having any further effect. Only the first call
// counts. All devices go with the channel (S-25), unless it ends because a
// ClientDeviceID came twice: then they stay until the session ends (3.3.5.1.2.1).
func (i *infoChannel) end(err error) {
	s := i.s
	s.mu.Lock()
	var handles []*Handle
	if !i.ended && !errors.Is(err, errDuplicate) {
		for _, d := range slices.Clone(s.order) {
			s.remove(d)
		}
		handles = slices.Collect(maps.Keys(s.handles))
	}
	i.endLocked(err)
	s.mu.Unlock()
	for _, h := range handles {
		h.end(errInfoEnded)
	}
}

var (
	errDuplicate = errors.New("a ClientDeviceID is announced twice ([MS-RDPEPNP] 3.3.5.1.2.1)")
	errInfoEnded = fmt.Errorf("%s has ended: %w", channels.PNPDR, channels.ErrClosed)
)

func (i *infoChannel) endLocked(err error) {
	if i.ended {
		return
	}
	i.ended, i.err = true, err
	close(i.done)
	i.s.announce()
}

func (i *infoChannel) receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.InfoToServer)
	if m.Kind == wire.KindUnknown {
		return err
	}

	s := i.s
	s.mu.Lock()
	ended, answered, authenticated := i.ended, i.answered, i.authenticated
	s.mu.Unlock()
	switch {
	case ended:
		return channels.ErrClosed
	case m.Kind == wire.KindVersion && answered:
		s.log.Debug("Client Version is ignored: it came before")
		return nil
	case m.Kind == wire.KindVersion:
		i.version(m.Version())
		return nil
	case !answered:
		// 3.3.5.1.1.2: nothing has a meaning before Client Version.
		i.dropped.log(s.log, "message is dropped: it came before Client Version", "message", m.Kind)
		return nil
	case !authenticated:
		// 3.3.5.1.1.3: a client whose user is not logged on cannot fill our
		// lists.
		i.dropped.log(s.log, "message is dropped: it came before logon", "message", m.Kind)
		return nil
	case err != nil: // only now: a message that is dropped may be malformed
		return err
	case m.Kind == wire.KindDeviceAddition:
		return i.addition(m.DeviceAddition())
	default:
		i.removal(m.DeviceRemoval())
		return nil
	}
}

// version processes Client Version (3.3.5.1.1.2). Any version is accepted
// (W-08), since every client understands every message.
func (i *infoChannel) version(v wire.Version) {
	s := i.s
	s.log.Debug("Client Version", "major", v.MajorVersion, "minor", v.MinorVersion, "capabilities", v.Capabilities)
	s.mu.Lock()
	i.answered = true
	logon := i.exchange()
	s.mu.Unlock()
	if logon {
		if err := i.sendAuthenticated(); err != nil {
			s.log.Debug("Authenticated Client was not sent", "err", err)
		}
	}
}

// addition processes Client Device Addition (3.3.5.1.2.1).
func (i *infoChannel) addition(m wire.DeviceAddition) error {
	for d := range m.All() {
		if err := i.add(d); err != nil {
			return err
		}
	}
	return nil
}

func (i *infoChannel) add(w wire.DeviceDescription) error {
	s := i.s
	size := len(w.InterfaceGUIDArray) + len(w.HardwareID) + len(w.CompatibilityID) + len(w.DeviceDescription)
	s.mu.Lock()
	_, known := s.devices[w.ClientDeviceID]
	count, retained := len(s.devices), s.retained
	s.mu.Unlock()
	// Only this goroutine adds devices, so this is still true below.
	switch {
	case known:
		return fmt.Errorf("%w: %d", errDuplicate, w.ClientDeviceID)
	case count >= s.cfg.Limits.Devices:
		return fmt.Errorf("the client announced more than %d devices", count)
	case size > s.cfg.Limits.DescriptionBytes-retained:
		return fmt.Errorf("the client announced descriptions of more than %d bytes", s.cfg.Limits.DescriptionBytes)
	}

	d := &Device{s: s, id: w.ClientDeviceID, size: size, desc: w.Description(), gone: make(chan struct{}), copies: newCopies()}
	if d.desc.Optional && !s.acceptOptional(d.desc) {
		s.log.Debug("optional device is left out", "id", d.id, "name", d.desc.Name)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return channels.ErrClosed
	}
	s.devices[d.id] = d
	s.order = append(s.order, d)
	s.arrivals++
	d.arrival = s.arrivals
	s.retained += size
	s.announce()
	s.notifyAdded(d)
	return nil
}

// removal processes Client Device Removal (3.3.5.1.2.2).
func (i *infoChannel) removal(m wire.DeviceRemoval) {
	s := i.s
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[m.ClientDeviceID]
	if !ok {
		// AcceptOptional may have declined it.
		s.log.Debug("removal is ignored: the device is unknown", "id", m.ClientDeviceID)
		return
	}
	s.remove(d)
}

// remove takes d out of the list. The caller holds s.mu.
func (s *Session) remove(d *Device) {
	delete(s.devices, d.id)
	s.order = slices.DeleteFunc(s.order, func(o *Device) bool { return o == d })
	s.retained -= d.size
	d.leave()
	s.notifyRemoved(d)
}

// acceptOptional asks the application, which may panic.
func (s *Session) acceptOptional(d *pnp.Description) (accept bool) {
	if s.cfg.AcceptOptional == nil {
		return true
	}
	defer s.recovered("AcceptOptional")
	return s.cfg.AcceptOptional(d)
}

// recovered is deferred, and stops a panic of the application's.
func (s *Session) recovered(callback string) {
	if p := recover(); p != nil {
		s.log.Error("panic in a callback of the application", "callback", callback, "panic", p, "stack", string(debug.Stack()))
	}
}

// quiet lets a client's misbehaviour show up in the log without filling it: the
// first time is a warning, later ones are debug messages.
type quiet struct{ seen atomic.Bool }

func (q *quiet) log(l *slog.Logger, msg string, args ...any) {
	level := slog.LevelDebug
	if !q.seen.Load() && !q.seen.Swap(true) {
		level = slog.LevelWarn
	}
	l.Log(context.Background(), level, msg, args...)
}
