// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port"
)

const (
	// openLimit is how long the client may take to open the port.
	openLimit = 30 * time.Second
	// closingLimit is how long the client may take nothing, beyond the time that
	// the line takes, after the last close. A driver of the kernel waits as long.
	closingLimit = 30 * time.Second
	// lookInterval is how often the settings are looked at while EXTPROC is off.
	// EXTPROC is changed as long after a program's change, since the program may
	// still be comparing the settings with what it has set.
	lookInterval = 100 * time.Millisecond
	// outputLimit is how much output is on the way from the terminal to the client,
	// in bytes.
	outputLimit = 32 << 10
	// inputSize is how much input is asked for at a time, in bytes.
	inputSize = 16 << 10
	// drainStall is how long output may stand still before a change of the speed
	// no longer waits for it.
	drainStall = time.Second
)

var errNotTaken = errors.New("the client does not take what was written before the last close")

// session serves the terminal while it is open. Four goroutines do this, and end before
// serve returns: readMaster takes what programs do, send carries it to the client in its
// order, receive brings what comes from there, and flushInput discards that on demand.
type session struct {
	p     *pty
	port  *port.Port
	log   *slog.Logger
	frame *port.Frame   // overrules the terminal's, unless it is nil
	limit time.Duration // see closingLimit
	ctx   context.Context
	// cancel ends ctx, and with it everything that waits for the client.
	cancel context.CancelFunc

	mu sync.Mutex
	// changed is told of changes of all below.
	changed sync.Cond
	ended   bool
	err     error // why it has ended
	// closed is set when the terminal was closed for the last time and all output is
	// in items. closing is set if it may have been, while there is no room for more.
	closed, closing bool

	// items are to be sent. They have and are sending size bytes of data.
	items []item
	size  int
	// asked are the latest settings in items, or those that the client has.
	asked port.Settings
	// told is set if changes of the settings will be told, and unsettled if EXTPROC
	// is to be changed.
	told, unsettled bool
	// purge says that the client is to discard output. cancelWrite ends the write
	// that waits for the client, if any.
	purge       bool
	cancelWrite context.CancelFunc
	patience    *time.Timer // ends a write after the last close

	// flushes counts the times that input was to be discarded, and flushed those
	// that are done. Nothing is read meanwhile.
	flushes, flushed uint64
	reading          bool
	cancelRead       context.CancelFunc

	complaints map[string]bool // what was logged; guarded by mu
}

// maxComplaints is how many different errors are logged: the client makes them.
const maxComplaints = 64

// item is one thing to send.
type item struct {
	data     []byte
	settings *port.Settings
	// flush waits until so many flushes are done, since what follows may be a
	// question whose answer is not to be discarded.
	flush uint64
	purge bool
}

// serve serves the terminal until the last close. An error means that the port is lost.
func (t *terminal) serve(ctx context.Context) error {
	s := &session{p: t.pty, log: t.d.Log, frame: t.frame(), limit: t.limit}
	s.changed.L = &s.mu
	now, err := s.p.termios()
	if err != nil {
		return err
	}
	s.asked = s.settingsOf(&now)
	opening, cancel := context.WithTimeout(ctx, openLimit)
	p, refused, err := t.opener.Open(opening, s.asked)
	cancel()
	if err != nil {
		return err
	}
	s.port = p
	s.refuse(refused)
	return s.run(ctx)
}

func (s *session) run(ctx context.Context) error {
	s.ctx, s.cancel = context.WithCancel(ctx)
	defer context.AfterFunc(s.ctx, func() { s.end(context.Cause(s.ctx)) })()
	_ = s.p.master.SetDeadline(time.Time{})
	s.look(false) // the settings may have changed while the port was opened

	var wg sync.WaitGroup
	for _, f := range []func() error{s.readMaster, s.receive, s.flushInput} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(); err != nil {
				s.end(err)
			}
		}()
	}
	s.end(s.send())
	wg.Wait()
	return s.err
}

// end ends the session. The first reason counts.
func (s *session) end(err error) {
	defer s.port.Close() // whoever waits for the client need not wait longer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	s.cancel()
	_ = s.p.master.SetDeadline(time.Unix(1, 0))
	s.changed.Broadcast()
}

// refuse logs what the client refuses, once.
func (s *session) refuse(err error) {
	if err == nil {
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			s.refuse(err)
		}
		return
	}
	if s.isNew(err.Error()) {
		s.log.Warn("the client refuses", "err", err)
	}
}

// isNew reports whether a complaint is to be logged.
func (s *session) isNew(complaint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complaints[complaint] || len(s.complaints) >= maxComplaints {
		return false
	}
	if s.complaints == nil {
		s.complaints = make(map[string]bool)
	}
	s.complaints[complaint] = true
	return true
}

func (s *session) settingsOf(t *unix.Termios) port.Settings {
	settings := port.SettingsOf(t)
	if s.frame != nil {
		settings.Frame = *s.frame
	}
	return settings
}

// readMaster takes what programs do with the terminal until it is closed.
func (s *session) readMaster() error {
	b := make([]byte, 4096)
	for s.setDeadline() {
		n, err := s.readPacket(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.look(true)
		case err == unix.EIO: // nobody has it open, and all output was read
			s.lastClose()
			return nil
		case err != nil:
			return fmt.Errorf("reading the terminal: %w", err)
		default:
			s.took(b[:n])
		}
	}
	return nil
}

// setDeadline sets when readPacket looks at the settings. It returns false if the session
// has ended.
func (s *session) setDeadline() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	next := time.Time{}
	if !s.told || s.unsettled {
		next = time.Now().Add(lookInterval)
	}
	_ = s.p.master.SetReadDeadline(next)
	return true
}

// readPacket waits for a packet: a status, or data if there is room for it, or both. The
// kernel looks for a status before it looks for data, so that it may have returned data
// that came after a change. So what happens along with data counts as the first.
func (s *session) readPacket(b []byte) (n int, err error) {
	waited := s.p.conn.Read(func(fd uintptr) bool {
		if !s.room() {
			events := poll(int(fd))
			s.setClosing(events&unix.POLLHUP != 0)
			if events&unix.POLLPRI == 0 {
				return false
			}
		}
		n, err = readAgain(int(fd), b)
		if n > 1 && poll(int(fd))&unix.POLLPRI != 0 {
			_, err = readAgain(int(fd), b[:1]) // in the place of TIOCPKT_DATA
		}
		return err != unix.EAGAIN
	})
	if waited != nil {
		return 0, waited
	}
	return n, err
}

func readAgain(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Read(fd, b); err != unix.EINTR {
			return n, err
		}
	}
}

func (s *session) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size < outputLimit
}

// setClosing says whether anybody still has the terminal open.
func (s *session) setClosing(closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = closing
	s.beImpatient()
}

func (s *session) lastClose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.closing = true, true
	s.beImpatient()
	if s.cancelRead != nil {
		s.cancelRead()
	}
	s.changed.Broadcast()
}

// took takes a packet, a status and the data after it.
func (s *session) took(b []byte) {
	if len(b) == 0 {
		return
	}
	status, data := b[0], b[1:]
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	if status&(unix.TIOCPKT_IOCTL|unix.TIOCPKT_NOSTOP|unix.TIOCPKT_DOSTOP) != 0 || !told {
		s.look(false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = false
	s.beImpatient()
	if status&unix.TIOCPKT_FLUSHWRITE != 0 {
		s.discardOutput()
	}
	if status&unix.TIOCPKT_FLUSHREAD != 0 {
		s.flushes++
		if s.cancelRead != nil {
			s.cancelRead()
		}
		s.put(item{flush: s.flushes})
	}
	if len(data) > 0 {
		s.size += len(data)
		s.put(item{data: append([]byte(nil), data...)})
	}
	s.changed.Broadcast()
}

// put adds an item, or makes it part of one that has no data behind it: while the client
// takes nothing, a program must not make the list longer and longer. s.mu is held.
func (s *session) put(it item) {
	for i := len(s.items) - 1; i >= 0; i-- {
		last := &s.items[i]
		switch {
		case it.data != nil && last.data != nil && i == len(s.items)-1:
			last.data = append(last.data, it.data...)
			return
		case last.data != nil:
			i = 0 // what is before counts for that data
		case it.settings != nil && last.settings != nil, it.flush > 0 && last.flush > 0:
			*last = it
			return
		}
	}
	s.items = append(s.items, it)
}

// discardOutput drops the data that was not sent yet. s.mu is held.
func (s *session) discardOutput() {
	kept := s.items
	s.items = nil
	for _, it := range kept {
		if it.data == nil {
			s.put(it)
		} else {
			s.size -= len(it.data)
		}
	}
	s.purge = true
	if s.cancelWrite != nil {
		s.cancelWrite()
	}
}

// look looks at the settings, and passes on changes. If settle is set, they may be
// changed to those that the kernel tells changes of.
func (s *session) look(settle bool) {
	now, err := s.p.termios()
	if err != nil {
		return // readMaster fails
	}
	settled := settled(&now)
	if !settled && settle {
		if err := s.p.settle(); err != nil {
			return
		}
		if now, err = s.p.termios(); err != nil {
			return
		}
	}
	settings := s.settingsOf(&now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = now.Lflag&extproc != 0
	s.unsettled = !settled && !settle
	if settings != s.asked {
		s.asked = settings
		s.put(item{settings: &settings})
		s.changed.Broadcast()
	}
}

// send carries out the items until there are none and the terminal is closed.
func (s *session) send() error {
	var last port.Settings
	s.mu.Lock()
	last = s.asked
	s.mu.Unlock()
	for {
		it, ok := s.next()
		if !ok {
			return nil
		}
		var err error
		switch {
		case it.purge:
			err = s.port.Purge(s.ctx, serial.SERIAL_PURGE_TXABORT|serial.SERIAL_PURGE_TXCLEAR)
		case it.settings != nil:
			err = s.apply(last, *it.settings)
			last = *it.settings
		case it.flush > 0:
			s.awaitFlush(it.flush)
		default:
			err = s.write(it.data)
		}
		if port.IsLost(err) {
			return err
		}
		s.refuse(err)
	}
}

// next waits for the next item. It returns false if there will be none.
func (s *session) next() (item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return item{}, false
		case s.purge:
			s.purge = false
			return item{purge: true}, true
		case len(s.items) > 0:
			it := s.items[0]
			s.items = s.items[1:]
			return it, true
		case s.closed:
			return item{}, false
		}
		s.changed.Wait()
	}
}

// apply sets settings in the place of those from before.
func (s *session) apply(before, settings port.Settings) error {
	if before.Baud != settings.Baud || before.Frame != settings.Frame {
		if err := s.port.Drain(s.ctx, drainStall+s.port.Duration(16)); port.IsLost(err) {
			return err
		}
	}
	return s.port.Apply(s.ctx, settings)
}

// awaitFlush waits until so many flushes are done.
func (s *session) awaitFlush(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && s.flushed < n {
		s.changed.Wait()
	}
}

// write sends data to the client.
func (s *session) write(data []byte) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	s.cancelWrite = cancel
	if s.purge {
		cancel()
	}
	s.beImpatient()
	s.mu.Unlock()

	_, err := s.port.Write(ctx, data)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelWrite = nil
	if s.patience != nil {
		s.patience.Stop()
		s.patience = nil
	}
	if s.size >= outputLimit && !s.ended {
		_ = s.p.master.SetReadDeadline(time.Unix(1, 0)) // there is room again
	}
	s.size -= len(data)
	if s.purge && ctx.Err() != nil && s.ctx.Err() == nil {
		return nil
	}
	return err
}

// beImpatient limits the time that a write takes once nobody has the terminal open. s.mu
// is held.
func (s *session) beImpatient() {
	switch {
	case s.cancelWrite != nil && s.closing && s.patience == nil:
		s.patience = time.AfterFunc(s.limit+2*s.port.Duration(outputLimit), func() { s.end(errNotTaken) })
	case !s.closing && s.patience != nil:
		s.patience.Stop()
		s.patience = nil
	}
}
