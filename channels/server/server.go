// SPDX-License-Identifier: Apache-2.0

// Package server is the server role of [MS-RDPEPNP]: it learns from the client
// which devices there are (PNPDR) and opens, reads, writes and controls them
// for applications on the server (FileRedirectorChannel).
//
// A Session serves one RDP session. It does no I/O of its own: a
// channels.Opener opens its channels, which deliver messages to a
// channels.Receiver and send them through a channels.ServerConn. A goroutine runs
// only while there are callbacks to make.
//
// All methods may be called from any goroutine, also from Config.OnDevice.
// Results from the client are pnp.HRESULT errors; errors because a channel or
// the session ended wrap channels.ErrClosed.
package server

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
)

// Config configures a Session. The zero value is ready for use.
type Config struct {
	// Log takes the log; nil discards it.
	Log *slog.Logger

	// AcceptOptional decides whether the session takes a device that the client
	// marks as optional (CustomFlag 1); nil takes all. It is called from the
	// transport's goroutine, so it must not block or call the Session. A panic
	// in it is logged and declines the device.
	AcceptOptional func(*pnp.Description) bool

	// OnDevice is told of every device that arrives or goes, one at a time, in
	// order. It may block and may call the Session, even Close. It is not told
	// of a device that came and went before its turn, nor of the devices that
	// end with the session, but of those that end with PNPDR. A panic in it is
	// logged.
	OnDevice func(DeviceEvent)

	// CancelWait is how long a call of a Handle waits for its reply after its
	// context has ended; 0 means 10 seconds.
	CancelWait time.Duration

	// Yield lets a goroutine that waits for a reply go on before the transport's goroutine
	// does, on the same thread. It is for transports whose goroutine waits in the kernel for
	// what comes next: otherwise another thread has to be woken up for the one that waited.
	Yield bool

	// Limits bound what a client can make the server keep.
	Limits Limits
}

// Limits bound what one Session keeps on behalf of the client. A field that is
// zero means its default.
type Limits struct {
	// Devices is how many devices may be known at a time (4096), and
	// DescriptionBytes how many bytes their descriptions may take on the wire
	// (4 MiB). PNPDR of a client that exceeds either is closed, and its devices
	// are removed.
	Devices          int
	DescriptionBytes int

	// Requests is how many requests may be outstanding on a handle (4096). Any
	// more fail with ERROR_NO_SYSTEM_RESOURCES.
	Requests int

	// Events is how many custom events wait for one reader (64), EventBytes how
	// many bytes of data one may carry (64 KiB), and EventMemory how many bytes all
	// that wait for the session's readers may take (8 MiB). An event beyond any of
	// these is dropped whole.
	Events      int
	EventBytes  int
	EventMemory int
}

func (l *Limits) setDefaults() {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Devices, 4096)
	set(&l.DescriptionBytes, 4<<20)
	set(&l.Requests, 4096)
	set(&l.Events, 64)
	set(&l.EventBytes, 64<<10)
	set(&l.EventMemory, 8<<20)
	// All ids of 24 bits but CancelID.
	l.Requests = min(l.Requests, maxRequests)
}

const defaultCancelWait = 10 * time.Second

// ErrStarted is returned by Start if the session was started already.
var ErrStarted = errors.New("the session was started already")

// ErrNoReply is part of the error of a call whose context has ended, if the client
// has not replied to the cancelled request.
var ErrNoReply = errors.New("the client does not reply")

// Session is the server's side of one RDP session.
type Session struct {
	opener channels.Opener
	cfg    Config
	log    *slog.Logger
	calls  sync.Pool // of *call
	events registrations
	// waiting counts what nobody has read of the events of all handles.
	waiting waiting

	// ctx ends when Close begins.
	ctx    context.Context
	cancel context.CancelFunc
	// open counts the channels that are being opened or have not yet been
	// reported Closed. It grows only while closed is false.
	open sync.WaitGroup

	// mu is never held during a call of the transport or the application.
	mu      sync.Mutex
	closed  bool
	info    *infoChannel // the one PNPDR (2.1)
	logon   bool         // Authenticated Client is to be sent once versions are exchanged
	handles map[*Handle]struct{}

	devices  map[uint32]*Device
	order    []*Device     // the same in order of arrival
	arrivals uint64        // devices that have arrived so far
	retained int           // wire bytes of their descriptions
	changed  chan struct{} // closed when devices grows or PNPDR ends

	// pending holds DeviceEvents; notifying says that a goroutine is delivering
	// them.
	pending   list.List
	notifying bool
}

// New makes a session that opens its channels through opener.
func New(opener channels.Opener, cfg Config) *Session {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(127)}))
	}
	if cfg.CancelWait <= 0 {
		cfg.CancelWait = defaultCancelWait
	}
	cfg.Limits.setDefaults()
	s := &Session{
		opener:  opener,
		cfg:     cfg,
		log:     cfg.Log,
		handles: make(map[*Handle]struct{}),
		devices: make(map[uint32]*Device),
		changed: make(chan struct{}),
		waiting: waiting{events: cfg.Limits.Events, limit: cfg.Limits.EventMemory, queues: make(map[waiter]struct{})},
	}
	s.calls.New = func() any { return &call{done: make(chan struct{}, 1), yield: cfg.Yield} }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start opens PNPDR, sends Server Version and waits for Client Version. After
// an error other than ErrStarted it may be called again.
func (s *Session) Start(ctx context.Context) error {
	i := &infoChannel{s: s, ready: make(chan struct{}), done: make(chan struct{})}
	s.mu.Lock()
	if s.info != nil {
		s.mu.Unlock()
		return ErrStarted
	}
	s.info = i
	s.mu.Unlock()

	err := i.start(ctx)
	if err != nil {
		s.mu.Lock()
		s.info = nil
		s.mu.Unlock()
		return fmt.Errorf("starting %s: %w", channels.PNPDR, err)
	}
	return nil
}

// LoggedOn says that the user has logged on to the session: it sends
// Authenticated Client, and devices are accepted from then on. If versions have
// not been exchanged yet, the message is sent once they have. Another call, for
// another logon, sends another message.
func (s *Session) LoggedOn() error {
	s.mu.Lock()
	i := s.info
	switch {
	case s.closed || i != nil && i.ended:
		s.mu.Unlock()
		return channels.ErrClosed
	case i == nil || !i.exchanged:
		s.logon = true
		s.mu.Unlock()
		return nil
	}
	i.authenticated = true
	s.mu.Unlock()
	return i.sendAuthenticated()
}

// Close ends all channels and everything that is outstanding, and returns when
// the transport has reported each channel closed. Devices are gone, and the
// channels of events are closed. It does not wait for a callback that is
// running; none starts after it has returned. Further calls wait like the
// first.
func (s *Session) Close() {
	s.mu.Lock()
	s.closed = true
	// From here on, Start and Open find the session closed once their channel
	// is attached, in case the lists below do not have it yet.
	s.cancel()
	var info channels.ServerConn
	if s.info != nil {
		info = s.info.conn
	}
	handles := make([]*Handle, 0, len(s.handles))
	for h := range s.handles {
		handles = append(handles, h)
	}
	for _, d := range s.order {
		d.leave()
	}
	clear(s.devices)
	s.order, s.retained = nil, 0
	s.pending.Init()
	s.mu.Unlock()

	for _, h := range handles {
		h.end(errSessionClosed)
	}
	if info != nil {
		info.Close()
	}
	s.events.close()
	s.open.Wait()
}

var errSessionClosed = fmt.Errorf("the session was closed: %w", channels.ErrClosed)

// openChannel opens a channel for attach, which must see to it that release is
// called once the transport has reported the channel closed. After an error it
// has been called.
func (s *Session) openChannel(ctx context.Context, name string, attach func(conn channels.ServerConn, release func()) channels.Receiver) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errSessionClosed
	}
	s.open.Add(1)
	s.mu.Unlock()

	release := sync.OnceFunc(s.open.Done)
	opened := false
	defer func() {
		if !opened { // also if the opener panics: Close waits for it
			release()
		}
	}()
	openCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.opener.Open(openCtx, name, func(conn channels.ServerConn) channels.Receiver {
		return attach(conn, release)
	})
	if err == nil {
		opened = true
		return nil
	}
	if ctx.Err() == nil && s.ctx.Err() != nil {
		return errSessionClosed
	}
	return err
}
