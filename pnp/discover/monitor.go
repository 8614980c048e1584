// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
)

// EventKind is what happened to a device.
type EventKind uint8

// The kinds of events.
const (
	// Added: the device is there, and udev is done with it if it runs.
	Added EventKind = iota + 1
	// Removed: the device is gone.
	Removed
	// Changed: the device is the same, but what is known of it or whether
	// the user may open it is not. Device is the new state.
	Changed
)

func (k EventKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown event"
}

// Event is the coming, going or changing of a device.
type Event struct {
	Kind   EventKind
	Device *Device
}

// Monitor follows what is plugged in until it is closed.
//
// A message is only a reason to look at everything again, so what is told does
// not depend on the number or the order of messages. But a message also tells
// two things that a look cannot: that a device went, although there is one
// again, and that udev is done with one.
//
// Not noticed are permissions that change without a message: a change of the
// node's mode by hand, or logind's when another user's session comes to the
// front.
type Monitor struct {
	cfg     Config
	notify  func(Event)
	source  Source
	closing atomic.Bool
	running sync.WaitGroup

	// The rest belongs to run.

	known map[string]*found
	// pending are devices of which the kernel has told and udev has not, with
	// the number of the kernel's message. They wait until expires; then udev
	// is taken to be silent, until it says something. early is set if some
	// device waits that udev has no record of.
	pending map[string]uint64
	early   bool
	expires time.Time
	silent  bool
	// bare are USB interfaces that nobody has taken, and until when a driver
	// may.
	bare map[string]time.Time
	// dirty is set if something may have changed since the last look.
	dirty bool
	// retry is when to look again after a look that failed.
	retry time.Time
	// heard are the paths that udev told of since the last look began.
	heard map[string]bool
	// given are those of which the kernel has told and udev has not, but that
	// are no longer waited for.
	given map[string]bool
	// gone are the paths that were removed since the last look began.
	gone []string
}

// patience is how long a device waits for udev. Rules that take longer than
// that only make it come twice, as Changed.
var patience = 10 * time.Second

// driverTime is how long a driver has to take a USB interface, or a device to
// go after its driver has let it go, before the interface is told of as one that
// cannot be redirected.
var driverTime = 250 * time.Millisecond

// retryTime is how long nobody looks after a look that failed.
var retryTime = time.Second

// maxRounds is how often Receive is called before a look, so that a storm of
// messages does not prevent it.
const maxRounds = 16

// Start tells the devices that are there, sorted by Key, before it returns, and
// every change after that. notify is called from one goroutine at a time and
// may take its time; it does not call Close.
//
// A device that was unplugged and plugged in again is told as Removed and
// Added, even if nobody saw it go.
func Start(cfg Config, notify func(Event)) (*Monitor, error) {
	m := &Monitor{cfg: cfg.withDefaults(), notify: notify, pending: make(map[string]uint64),
		heard: make(map[string]bool), given: make(map[string]bool)}
	var err error
	// Before the first look: what happens after it is told by the source.
	if m.source, err = m.cfg.Listen(); err != nil {
		return nil, err
	}
	if err = m.look(true); err != nil {
		m.source.Close()
		return nil, err
	}
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		defer pnp.Guard(m.cfg.Log, "following devices", nil)
		m.run()
	}()
	return m, nil
}

// Close ends the monitor. After it returned, no call of notify is under way.
// Further calls do nothing.
func (m *Monitor) Close() {
	if !m.closing.Swap(true) {
		if err := m.source.Close(); err != nil {
			m.cfg.Log.Warn("closing the source of device events failed", "err", err)
		}
	}
	m.running.Wait()
}

func (m *Monitor) run() {
	for !m.closing.Load() {
		if err := m.await(); err != nil {
			if !m.closing.Load() {
				m.cfg.Log.Error("devices are no longer followed", "err", err)
			}
			return
		}
		if err := m.look(false); err != nil {
			m.cfg.Log.Error("looking for devices failed", "err", err)
			m.dirty, m.retry = true, time.Now().Add(retryTime)
		}
	}
}

// await waits for something that can matter and takes in all that has been
// reported by then.
func (m *Monitor) await() error {
	for rounds := 0; ; {
		n, lost, err := m.receive(m.wait())
		if err != nil {
			return err
		}
		if rounds++; lost {
			rounds = 0 // the kernel keeps nothing until all is received
		}
		m.timeOut(time.Now())
		if m.dirty && !time.Now().Before(m.retry) && (n == 0 && !lost || rounds > maxRounds) {
			return nil
		}
	}
}

// wait returns how long nothing has to be done unless there is a message.
func (m *Monitor) wait() time.Duration {
	if m.dirty {
		return max(time.Until(m.retry), 0)
	}
	var next time.Time
	if m.waiting() {
		next = m.expires
	}
	for _, t := range m.bare {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if next.IsZero() {
		return -1
	}
	return max(time.Until(next), 1)
}

// timeOut ends the waiting for what did not come.
func (m *Monitor) timeOut(now time.Time) {
	if m.waiting() && !now.Before(m.expires) {
		m.cfg.Log.Warn("udev is there but does not tell of devices")
		m.giveUp()
		m.silent, m.early, m.dirty = true, false, true
	}
	for _, t := range m.bare {
		m.dirty = m.dirty || !now.Before(t)
	}
}

// giveUp ends the waiting for udev's messages.
func (m *Monitor) giveUp() {
	for p := range m.pending {
		m.given[p] = true
	}
	clear(m.pending)
}

// receive takes in messages and returns their number.
func (m *Monitor) receive(wait time.Duration) (n int, lost bool, err error) {
	messages, err := m.source.Receive(wait)
	for _, e := range messages {
		m.take(e)
	}
	if errors.Is(err, ErrLost) {
		m.cfg.Log.Debug("device events were lost")
		m.giveUp() // udev's messages may be among them
		m.dirty = true
		return len(messages), true, nil
	}
	return len(messages), false, err
}

// subsystems are those whose devices matter.
var subsystems = map[string]bool{
	"usb": true, "tty": true, "hidraw": true, "hid": true, "usbmisc": true, "usb-serial": true,
}

// udevTells reports whether udev will send a message after the kernel's.
func (m *Monitor) udevTells() bool {
	if m.silent {
		return false
	}
	_, err := os.Lstat(filepath.Join(m.cfg.UdevRoot, "control"))
	return err == nil
}

func (m *Monitor) take(e Uevent) {
	if !subsystems[e.Subsystem] {
		return
	}
	m.cfg.Log.Debug("device event", "action", e.Action, "path", e.Path, "udev", e.Udev)
	switch {
	case e.Udev:
		m.silent = false
		if e.Action != "remove" && e.Seq >= m.pending[e.Path] {
			delete(m.pending, e.Path)
			delete(m.given, e.Path)
			m.heard[e.Path] = true
		}
		m.dirty = true
	case e.Action == "remove":
		m.forget(e.Path)
	case e.Action == "move":
		m.forget(e.OldPath)
		fallthrough
	case e.Action == "add":
		if m.udevTells() {
			m.waitFor(e.Path, e.Seq)
		} else {
			m.given[e.Path] = true
			m.dirty = true
		}
	default:
		m.dirty = m.dirty || !m.udevTells()
	}
}

// waitFor keeps a device back until udev has told of it.
func (m *Monitor) waitFor(path string, seq uint64) {
	if !m.waiting() {
		m.expires = time.Now().Add(patience)
	}
	m.pending[path] = max(seq, m.pending[path])
}

// waiting reports whether some device waits for udev.
func (m *Monitor) waiting() bool { return m.early || len(m.pending) > 0 }

// forget tells at once that a device and what hangs on it is gone.
func (m *Monitor) forget(gone string) {
	if gone == "" {
		return
	}
	m.dirty = true
	m.gone = append(m.gone, gone)
	maps.DeleteFunc(m.pending, func(p string, _ uint64) bool { return isBelow(p, gone) })
	for _, paths := range []map[string]bool{m.given, m.heard} {
		maps.DeleteFunc(paths, func(p string, _ bool) bool { return isBelow(p, gone) })
	}
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		if isBelow(key, gone) {
			m.tell(Removed, m.known[key].Device)
			delete(m.known, key)
		}
	}
}

func isBelow(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}

// look looks at everything and tells what is different.
func (m *Monitor) look(first bool) error {
	// What is told from here on is not what this look tells of.
	dirty, heard := m.dirty, m.heard
	m.dirty, m.gone, m.heard = false, nil, make(map[string]bool)
	now, err := look(m.cfg)
	if err != nil {
		m.dirty, m.heard = dirty, heard
		return err
	}
	// What was told meanwhile is about devices that were seen, too.
	if _, _, err := m.receive(0); err != nil && first {
		return err
	}
	for _, gone := range m.gone {
		maps.DeleteFunc(now, func(key string, _ *found) bool { return isBelow(key, gone) })
	}
	if !first {
		m.keepBare(now, time.Now())
	}
	m.keepEarly(now, first)
	for _, key := range slices.Sorted(maps.Keys(m.known)) {
		before, after := m.known[key], now[key]
		if after == nil || after.instance != before.instance {
			m.tell(Removed, before.Device)
			delete(m.known, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		before, after := m.known[key], now[key]
		switch {
		case before == nil:
			p := after.path()
			after.early = !heard[p] && (first || !after.initialized || m.given[p])
			m.tell(Added, after.Device)
		case before.early && heard[before.path()]:
			// Rules may see what is not known here, such as links.
			m.tell(Changed, after.Device)
		case before.access != after.access || !reflect.DeepEqual(before.Device, after.Device):
			after.early = before.early
			m.tell(Changed, after.Device)
		default:
			after.early = before.early
		}
	}
	m.known = now
	return nil
}

// keepBare leaves out the new USB interfaces that a driver may still take.
func (m *Monitor) keepBare(all map[string]*found, now time.Time) {
	bare := make(map[string]time.Time)
	for key, f := range all {
		if f.Subsystem != "usb" || f.Excluded == "" || m.known[key] != nil {
			continue
		}
		until, ok := m.bare[key]
		if !ok {
			until = now.Add(driverTime)
		}
		if now.Before(until) {
			bare[key] = until
			delete(all, key)
		}
	}
	m.bare = bare
}

// keepEarly leaves out the new devices that udev is not done with.
func (m *Monitor) keepEarly(all map[string]*found, first bool) {
	early := false
	if m.udevTells() {
		for key, f := range all {
			if before := m.known[key]; before != nil && before.instance == f.instance {
				continue
			}
			// Without a record it may have come so recently that the kernel
			// has not told of it yet. At first however it may be older than
			// udev, which then never tells.
			unseen := !f.initialized && f.Node != "" && !first
			early = early || unseen
			if unseen || m.isPending(key) {
				delete(all, key)
			}
		}
	}
	if early && !m.waiting() {
		m.expires = time.Now().Add(patience)
	}
	m.early = early
}

// isPending reports whether udev has yet to tell of a device or one that it
// hangs on.
func (m *Monitor) isPending(key string) bool {
	for p := key; p != "."; p = path.Dir(p) {
		if _, pending := m.pending[p]; pending {
			return true
		}
	}
	return false
}

func (m *Monitor) tell(kind EventKind, d *Device) {
	if m.closing.Load() {
		return
	}
	m.cfg.Log.Debug("device "+kind.String(), "key", d.Key, "node", d.Node, "excluded", d.Excluded)
	m.notify(Event{kind, d})
}
