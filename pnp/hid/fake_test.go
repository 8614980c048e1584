package hid

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// fake is a HID device without a kernel: hidraw nodes cannot be had without
// /dev/uhid, and nothing else answers their ioctls. What is made up are the
// node's calls that block and their results, as hidraw.c and usbhid give them.
// What is real is a socket of packets for the input reports, one for each open
// as hidraw has a queue for each, and the poller that waits for it. TestUHID and
// its like have real nodes.
type fake struct {
	t          testing.TB
	descriptor []byte
	facts      facts
	// get answers for the device; nil fails with EPIPE, as a stall does.
	get func(k Kind, b []byte) (int, error)

	mu      sync.Mutex
	changed sync.Cond
	peers   []int  // the device's ends of the nodes
	sent    []sent // what was written and set
	held    bool   // calls that block do
	fails   error  // of calls that block
	leaving func() // when somebody gives the device time to leave
	gone    bool
	blocked int
}

// sent is a report that came to a fake device.
type sent struct {
	how  string // write or set
	kind Kind
	data string
}

func newFake(t testing.TB, descriptor []byte) *fake {
	f := &fake{t: t, descriptor: descriptor}
	f.changed.L = &f.mu
	t.Cleanup(f.unplug)
	return f
}

// device is a Device whose node is the fake.
func (f *fake) device(readOnly bool) *Device {
	d, err := New("/dev/fake", Options{Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(f.t, err)
	d.open = f.open
	return d
}

// open is the opener of the fake.
func (f *fake) open(_ string, r pnp.OpenRequest, o Options) (opened, error) {
	read, write := r.WantsRead(), r.WantsWrite() && !o.ReadOnly
	if r.WantsWrite() && !read && !write {
		return opened{}, pnp.ERROR_ACCESS_DENIED
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return opened{}, unix.ENODEV
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return opened{}, err
	}
	f.peers = append(f.peers, pair[0])
	if err := unix.SetNonblock(pair[1], true); err != nil {
		return opened{}, err
	}
	raw, err := newRawNode(pair[1], "/dev/fake")
	if err != nil {
		return opened{}, err
	}
	return opened{&fakeNode{raw, f}, read, write, f.descriptor, f.facts}, nil
}

// feed sends an input report to every open node.
func (f *fake) feed(report ...byte) {
	f.mu.Lock()
	peers := f.peers
	f.mu.Unlock()
	for _, fd := range peers {
		// That node was closed, with ECONNRESET before all of its reports were
		// read.
		if _, err := unix.Write(fd, report); err != nil && err != unix.EPIPE && err != unix.ECONNRESET {
			f.t.Errorf("feed: %v", err)
		}
	}
}

// hold makes the calls that may block do so, until release or unplug.
func (f *fake) hold()    { f.set(func() { f.held = true }) }
func (f *fake) release() { f.set(func() { f.held = false }) }

// unplug takes the device away.
func (f *fake) unplug() {
	f.set(func() {
		f.gone = true
		for _, fd := range f.peers {
			unix.Close(fd)
		}
		f.peers = nil
	})
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.changed.Broadcast()
}

// stuck waits until n calls block.
func (f *fake) stuck(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.blocked != n {
		f.changed.Wait()
	}
}

// received returns what was sent to the device so far.
func (f *fake) received() []sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// enter is the beginning of a call that may block.
func (f *fake) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked++
	f.changed.Broadcast()
	for f.held && !f.gone {
		f.changed.Wait()
	}
	f.blocked--
	f.changed.Broadcast()
	if f.gone {
		return unix.ENODEV
	}
	return f.fails
}

// fakeNode is one open node of a fake.
type fakeNode struct {
	*rawNode
	f *fake
}

func (n *fakeNode) read(b []byte) (int, error) {
	got, err := n.rawNode.read(b)
	if err == nil && got == 0 {
		return 0, unix.EIO // hidraw's end
	}
	return got, err
}

func (n *fakeNode) gone(within time.Duration) bool {
	n.f.mu.Lock()
	leaving := n.f.leaving
	n.f.mu.Unlock()
	if within > 0 && leaving != nil {
		leaving()
	}
	return n.rawNode.gone(within)
}

func (n *fakeNode) write(b []byte) (int, error) { return n.send("write", Output, b) }

func (n *fakeNode) set(k Kind, b []byte) (int, error) { return n.send("set", k, b) }

func (n *fakeNode) send(how string, k Kind, b []byte) (int, error) {
	if err := n.f.enter(); err != nil {
		return 0, err
	}
	n.f.set(func() { n.f.sent = append(n.f.sent, sent{how, k, string(b)}) })
	return len(b), nil
}

func (n *fakeNode) get(k Kind, b []byte) (int, error) {
	if err := n.f.enter(); err != nil {
		return 0, err
	}
	if n.f.get == nil {
		return 0, unix.EPIPE
	}
	return n.f.get(k, b)
}
