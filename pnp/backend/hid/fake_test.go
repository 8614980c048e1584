// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// fake is a HID device together with hidraw's part: a queue of reports for each open,
// hidraw's errors, and calls that wait for the device as long as it takes. Real hidraw
// nodes need /dev/uhid; the tests named TestUHID… use those.
//
// The fake's node is a file of fusetest, so that this package runs its real system
// calls; where FUSE cannot be mounted, it is in memory (memoryNode).
type fake struct {
	t          testing.TB
	descriptor []byte
	sysfs      string // root of its sysfs tree
	open       opener
	fs         *fusetest.FS // nil for a node in memory

	// The fields below are changed by set once there is a node, because the race
	// detector cannot see that a system call precedes its driver.
	mu      sync.Mutex
	changed sync.Cond
	facts   facts
	// get answers GET_REPORT; nil fails with EPIPE, like a stall.
	get     func(k hidreport.Kind, b []byte) (int, error)
	queues  map[uint64]*fakeQueue
	sent    []sent // reports that were written or set
	asked   []byte // the last argument of get
	stalled []*fakeCall
	held    bool   // writes, sets and gets wait for release
	fails   error  // the result of writes, sets and gets
	leaving func() // called when somebody waits for the device to leave
	signals int    // number of calls that signals ended
	old     bool   // act as a kernel before 5.11
	gone    bool
}

// sent is a report that a fake device received.
type sent struct {
	how  string // write or set
	kind hidreport.Kind
	data string
}

// fakeQueue holds the reports for one open.
type fakeQueue struct {
	reports [][]byte
	changed func(*fakeQueue) // wakes whoever waits for the queue
}

// fakeCall is a call that waits for the device.
type fakeCall struct {
	id   uint64
	how  string // write, set or get
	kind hidreport.Kind
	data []byte // the report, or room for it
	done func(n int, err error)
}

func newFake(t testing.TB, descriptor []byte) *fake {
	t.Helper()
	if fusetest.Unavailable() == nil {
		return newFuseFake(t, descriptor)
	}
	return newMemoryFake(t, descriptor)
}

func makeFake(t testing.TB, descriptor []byte) *fake {
	f := &fake{t: t, descriptor: descriptor, queues: map[uint64]*fakeQueue{}, sysfs: makeSysfs(t, "0", nil)}
	f.changed.L = &f.mu
	return f
}

// device makes a Device whose node is the fake.
func (f *fake) device(readOnly bool) *Device {
	return f.make(backend.Source{ReadOnly: readOnly})
}

// collection makes a Device of a top-level collection, numbered from 1.
func (f *fake) collection(n int) *Device { return f.make(backend.Source{Collection: n}) }

func (f *fake) make(src backend.Source) *Device {
	src.Path, src.Description = "/dev/fake", pnp.Description{Name: "test"}
	if f.fs != nil {
		src.Path = f.fs.Path
	}
	d, err := New(src)
	require.NoError(f.t, err)
	d.open, d.sysfs = f.open, f.sysfs
	return d
}

// opened makes the queue of an open.
func (f *fake) opened(id uint64, changed func(*fakeQueue)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return unix.ENODEV
	}
	q := &fakeQueue{changed: changed}
	f.queues[id] = q
	q.changed(q)
	return nil
}

func (f *fake) closed(id uint64) { f.set(func() { delete(f.queues, id) }) }

// isClosed reports whether the node of h is closed. The kernel tells the driver only
// after the last call has returned, so a file is asked directly.
func (f *fake) isClosed(h pnp.Handle) bool {
	if n, ok := h.(*handle).node.(*rawNode); ok {
		_, err := n.file.Stat()
		return err != nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queues) == 0
}

// feed sends an input report to every open node. A full queue drops it.
func (f *fake) feed(report ...byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queues {
		if len(q.reports) < kernelQueue-1 {
			q.reports = append(q.reports, slices.Clone(report))
			q.changed(q)
		}
	}
}

// hold makes writes, sets and gets wait until release or unplug.
func (f *fake) hold() { f.set(func() { f.held = true }) }

func (f *fake) release() {
	f.set(func() { f.held = false })
	f.answer()
}

// unplug takes the device away.
func (f *fake) unplug() {
	f.set(func() {
		f.gone = true
		for _, q := range f.queues {
			q.changed(q)
		}
	})
	f.answer()
}

// answer carries out the calls that were held.
func (f *fake) answer() {
	f.mu.Lock()
	calls := f.stalled
	f.stalled = nil
	f.changed.Broadcast()
	f.mu.Unlock()
	for _, c := range calls {
		f.call(c)
	}
}

// echo answers with the argument of get.
func echo(_ hidreport.Kind, b []byte) (int, error) { return len(b), nil }

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.changed.Broadcast()
}

// await waits until is, called with the lock held, returns true. It ends a test that
// hangs.
func (f *fake) await(what string, is func() bool) {
	late := false
	defer time.AfterFunc(30*time.Second, func() { f.set(func() { late = true }) }).Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !is() {
		if late {
			panic("never happened: " + what)
		}
		f.changed.Wait()
	}
}

// stuck waits until n calls wait for the device.
func (f *fake) stuck(n int) {
	f.await("calls are stuck", func() bool { return len(f.stalled) == n })
}

// interrupted waits until n signals have ended calls.
func (f *fake) interrupted(n int) {
	f.await("signals end calls", func() bool { return f.signals >= n })
}

// received returns what was sent to the device so far.
func (f *fake) received() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// question returns the last argument of get.
func (f *fake) question() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// read takes a report out of the queue of an open, cut to n bytes.
func (f *fake) read(id uint64, n int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queues[id]
	switch {
	case len(q.reports) > 0:
		report := q.reports[0]
		q.reports = q.reports[1:]
		q.changed(q)
		return report[:min(n, len(report))], nil
	case f.gone:
		return nil, unix.EIO
	}
	return nil, unix.EAGAIN
}

// call carries out c, now or when the device is released.
func (f *fake) call(c *fakeCall) {
	f.mu.Lock()
	if f.held && !f.gone {
		f.stalled = append(f.stalled, c)
		f.changed.Broadcast()
		f.mu.Unlock()
		return
	}
	n, err := 0, f.fails
	switch {
	case f.gone:
		err = unix.ENODEV
	case len(c.data) < 2: // as in hidraw.c
		err = unix.EINVAL
	case err != nil:
	case c.how == "get":
		f.asked, err = slices.Clone(c.data), unix.EPIPE
		if f.get != nil {
			n, err = f.get(c.kind, c.data)
		}
	default:
		f.sent = append(f.sent, sent{c.how, c.kind, string(c.data)})
		n = len(c.data)
	}
	f.mu.Unlock()
	c.done(n, err)
}

// signalled ends a held call as a signal does.
func (f *fake) signalled(id uint64) {
	f.mu.Lock()
	at := slices.IndexFunc(f.stalled, func(c *fakeCall) bool { return c.id == id })
	if at < 0 {
		f.mu.Unlock()
		return
	}
	c := f.stalled[at]
	f.stalled = slices.Delete(f.stalled, at, at+1)
	f.signals++
	f.changed.Broadcast()
	f.mu.Unlock()
	c.done(0, unix.EINTR)
}

// leave tells the test that somebody waits for the device to leave.
func (f *fake) leave() {
	f.mu.Lock()
	leaving := f.leaving
	f.mu.Unlock()
	if leaving != nil {
		leaving()
	}
}
