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
	// Added: the device is there. If udev runs, its rules have run.
	Added EventKind = iota + 1
	// Removed: the device has gone.
	Removed
	// Changed: the device is the same, but what is known about it or the
	// user's access to it has changed. Device is the new state.
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

// Event says that a device came, went or changed.
type Event struct {
	Kind   EventKind
	Device *Device
}

// Monitor follows what is plugged in until it is closed.
//
// A message only makes it look at everything again, so its events do not depend
// on the number or order of messages. But messages tell two things that a look
// cannot: that a device went although another has taken its place, and that
// udev's rules have run.
//
// It misses permissions that change without a message: by hand, or by logind when
// another user's session becomes active.
type Monitor struct {
	cfg     Config
	notify  func(Event)
	source  Source
	closing atomic.Bool
	running sync.WaitGroup

	// The rest belongs to run.

	known map[string]*found
	// pending are devices that the kernel has reported and udev has not.
	pending map[string]waiting
	// early are devices that wait because udev has no record of them, with the
	// time since when. Their key is that of found.path.
	early map[string]time.Time
	// answered is when udev last reported anything. It is silent if it then did
	// not report a device for so long that nothing waits for it any more.
	answered time.Time
	silent   bool
	// bare are USB interfaces without a driver, each with the time until which
	// a driver may still come.
	bare map[string]time.Time
	// dirty is set if something may have changed since the last look.
	dirty bool
	// retry is the time of the next look after one that failed.
	retry time.Time
	// heard are the paths that udev has reported since the last look began.
	heard map[string]bool
	// given are the paths that the kernel has reported and udev has not, but
	// that no longer wait.
	given map[string]bool
	// gone are the paths that were removed since the last look began.
	gone []string
}

// waiting is a device that waits for udev, with the number of the kernel's message.
type waiting struct {
	seq   uint64
	since time.Time
}

// patience is how long a device waits after udev's last message about any device:
// udev can be busy with others. If its rules take longer, the device is reported
// twice, the second time as Changed.
var patience = 10 * time.Second

// maxPatience is how long a device waits although udev reports others.
const maxPatience = 30 // times patience

// driverTime is how long an interface without a driver is not reported: a driver
// may be about to take it, or the device may be going.
var driverTime = 250 * time.Millisecond

// retryTime is the pause after a look that failed.
var retryTime = time.Second

// maxRounds is how often Receive is called before a look, so that a flood of
// messages cannot prevent it.
const maxRounds = 16

// Start reports the devices that are there, sorted by Key, before it returns, and
// every change after that. It calls notify from one goroutine at a time. notify
// may block; it must not call Close.
//
// A device that was unplugged and plugged in again is reported as Removed and
// then Added, even if no message said so.
func Start(cfg Config, notify func(Event)) (*Monitor, error) {
	m := &Monitor{cfg: cfg.withDefaults(), notify: notify, pending: make(map[string]waiting), early: make(map[string]time.Time),
		heard: make(map[string]bool), given: make(map[string]bool)}
	var err error
	// Before the first look, so that no change is missed.
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

// Close ends the monitor and waits for a call of notify that is under way. Further
// calls do nothing.
func (m *Monitor) Close() {
	if !m.closing.Swap(true) {
		if err := m.source.Close(); err != nil {
			m.cfg.Log.Warn("cannot close the source of device events", "err", err)
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

// await returns when it is time to look, after taking in all messages that have
// arrived by then.
func (m *Monitor) await() error {
	for rounds := 0; ; {
		n, lost, err := m.receive(m.wait())
		if err != nil {
			return err
		}
		if rounds++; lost {
			rounds = 0 // the kernel drops messages until all are received
		}
		m.timeOut(time.Now())
		if m.dirty && !time.Now().Before(m.retry) && (n == 0 && !lost || rounds > maxRounds) {
			return nil
		}
	}
}

// wait returns how long to wait for a message; -1 for no limit.
func (m *Monitor) wait() time.Duration {
	if m.dirty {
		return max(time.Until(m.retry), 0)
	}
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, w := range m.pending {
		at(m.deadline(w.since))
	}
	for _, since := range m.early {
		at(m.deadline(since))
	}
	for _, t := range m.bare {
		at(t)
	}
	if next.IsZero() {
		return -1
	}
	return max(time.Until(next), 1)
}

// timeOut stops waiting for what did not come in time.
func (m *Monitor) timeOut(now time.Time) {
	for _, p := range slices.Sorted(maps.Keys(m.pending)) {
		if since := m.pending[p].since; !now.Before(m.deadline(since)) {
			delete(m.pending, p)
			m.give(p, since)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(m.early)) {
		if since := m.early[p]; !now.Before(m.deadline(since)) {
			delete(m.early, p)
			m.give(p, since)
		}
	}
	for _, t := range m.bare {
		m.dirty = m.dirty || !now.Before(t)
	}
}

// deadline is when a device that waits since then is reported without udev.
func (m *Monitor) deadline(since time.Time) time.Time {
	last := since.Add(maxPatience * patience)
	if m.answered.After(since) {
		since = m.answered
	}
	if t := since.Add(patience); t.Before(last) {
		return t
	}
	return last
}

// give stops waiting for udev's message about a device.
func (m *Monitor) give(p string, since time.Time) {
	m.given[p], m.dirty = true, true
	switch {
	case m.answered.After(since):
		m.cfg.Log.Warn("udev reports other devices, but not this one", "path", p)
	case !m.silent:
		m.silent = true
		m.cfg.Log.Warn("udev runs, but does not report devices")
	}
}

// giveUp stops waiting for udev's messages about pending devices.
func (m *Monitor) giveUp() {
	for p := range m.pending {
		m.given[p] = true
	}
	for p := range m.early {
		m.given[p] = true
	}
	clear(m.pending)
	clear(m.early)
}

// receive takes in messages and returns their number.
func (m *Monitor) receive(wait time.Duration) (n int, lost bool, err error) {
	messages, err := m.source.Receive(wait)
	for _, e := range messages {
		m.take(e, time.Now())
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

// udevTells reports whether udev runs, and so will send a message after the
// kernel's.
func (m *Monitor) udevTells() bool {
	if m.silent {
		return false
	}
	_, err := os.Lstat(filepath.Join(m.cfg.UdevRoot, "control"))
	return err == nil
}

func (m *Monitor) take(e Uevent, now time.Time) {
	if e.Udev {
		m.silent, m.answered = false, now
	}
	if e.Subsystem == "input" {
		// What a device is depends on the input devices below it. They are only
		// looked at in sysfs, so there is no need to wait for udev.
		m.dirty = m.dirty || !e.Udev
		return
	}
	if !subsystems[e.Subsystem] {
		return
	}
	m.cfg.Log.Debug("device event", "action", e.Action, "path", e.Path, "udev", e.Udev)
	switch {
	case e.Udev:
		if e.Action != "remove" && e.Seq >= m.pending[e.Path].seq {
			delete(m.pending, e.Path)
			delete(m.early, e.Path)
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
			m.pending[e.Path] = waiting{max(e.Seq, m.pending[e.Path].seq), now}
		} else {
			m.given[e.Path] = true
			m.dirty = true
		}
	default:
		m.dirty = m.dirty || !m.udevTells()
	}
}

// forget reports at once that a device and everything below it have gone.
func (m *Monitor) forget(gone string) {
	if gone == "" {
		return
	}
	m.dirty = true
	m.gone = append(m.gone, gone)
	maps.DeleteFunc(m.pending, func(p string, _ waiting) bool { return isBelow(p, gone) })
	maps.DeleteFunc(m.early, func(p string, _ time.Time) bool { return isBelow(p, gone) })
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

// look looks at everything and reports what has changed.
func (m *Monitor) look(first bool) error {
	// Messages from here on may be about changes that this look misses.
	dirty, heard := m.dirty, m.heard
	m.dirty, m.gone, m.heard = false, nil, make(map[string]bool)
	now, err := look(m.cfg)
	if err != nil {
		m.dirty, m.heard = dirty, heard
		return err
	}
	// A message that came meanwhile may be about a device that was seen.
	if _, _, err := m.receive(0); err != nil && first {
		return err
	}
	for _, gone := range m.gone {
		maps.DeleteFunc(now, func(key string, _ *found) bool { return isBelow(key, gone) })
	}
	if !first {
		m.keepBare(now, time.Now())
	}
	m.keepEarly(now, first, time.Now())
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
			// Conditions of rules can look at more, such as links.
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
func (m *Monitor) keepEarly(all map[string]*found, first bool, now time.Time) {
	early := make(map[string]time.Time)
	tells := m.udevTells()
	for key, f := range all {
		if before := m.known[key]; before != nil && before.instance == f.instance {
			continue
		}
		// Without a record it may be so new that the kernel has not reported it
		// yet. In the first look it may instead be older than udev, which then
		// never reports it.
		p := f.path()
		unseen := tells && !f.initialized && f.Node != "" && !first && !m.given[p]
		if unseen {
			since, waits := m.early[p]
			if !waits {
				since = now
			}
			early[p] = since
		}
		if unseen || m.isPending(key) {
			delete(all, key)
		}
	}
	m.early = early
}

// isPending reports whether udev has yet to report a device or one above it.
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
