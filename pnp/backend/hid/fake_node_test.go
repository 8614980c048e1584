// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// newFuseFake makes a fake whose node is a file. Its opener is that of hidraw nodes,
// except that it expects a regular file.
func newFuseFake(t testing.TB, descriptor []byte) *fake {
	t.Helper()
	f := makeFake(t, descriptor)
	f.open = func(d *Device, r pnp.OpenRequest) (opened, error) {
		return openNode(d, unix.S_IFREG, r)
	}
	var fs *fusetest.FS
	mounted := make(chan struct{})
	fs = fusetest.Mount(t, func(r *fusetest.Request) {
		<-mounted
		f.serve(r)
	})
	f.fs = fs
	close(mounted)
	t.Cleanup(f.unplug)
	return f
}

// serve handles a call as hidraw.c does.
func (f *fake) serve(r *fusetest.Request) {
	fail := func(err error) {
		var errno unix.Errno
		if !errors.As(err, &errno) {
			f.t.Errorf("not an errno: %v", err)
			errno = unix.EIO
		}
		r.Fail(errno)
	}
	switch r.Op {
	case fusetest.Open:
		err := f.opened(r.Handle, func(q *fakeQueue) { f.fs.Events(r.Handle, f.events(q)) })
		if err != nil {
			fail(err)
			return
		}
		r.Opened(fusetest.DirectIO | fusetest.NonSeekable | fusetest.Stream | fusetest.ParallelWrites)
	case fusetest.Release:
		f.closed(r.Handle)
	case fusetest.Read:
		report, err := f.read(r.Handle, r.Size)
		if err != nil {
			fail(err)
			return
		}
		r.Gives(report)
	case fusetest.Poll:
		f.mu.Lock()
		events := f.events(f.queues[r.Handle])
		f.mu.Unlock()
		r.Polled(events)
		f.leave()
	case fusetest.Write:
		f.call(&fakeCall{r.ID, "write", hidreport.Output, r.Data, func(n int, err error) {
			if err != nil {
				fail(err)
				return
			}
			r.Wrote(n)
		}})
	case fusetest.Interrupt:
		f.signalled(r.ID)
	case fusetest.Ioctl:
		f.ioctl(r, fail)
	}
}

// events returns what poll says about a node. The caller holds mu.
func (f *fake) events(q *fakeQueue) uint32 {
	events := uint32(unix.POLLOUT)
	if len(q.reports) > 0 {
		events |= unix.POLLIN
	}
	if f.gone {
		events |= unix.POLLERR | unix.POLLHUP
	}
	return events
}

// The numbers of those ioctls of hidraw.h whose codes contain a length. They are
// repeated here so that the numbers in node.go are not compared with themselves.
const (
	getRawName = 0x04
	setFeature = 0x06
	getFeature = 0x07
	getRawUniq = 0x08
	getInput   = 0x0A
	setOutput  = 0x0B
	getOutput  = 0x0C
)

func (f *fake) ioctl(r *fusetest.Request, fail func(error)) {
	f.mu.Lock()
	gone, old, known := f.gone, f.old, f.facts
	f.mu.Unlock()
	text := func(s string) {
		b := append([]byte(s), 0)
		r.Returns(min(len(b), r.Size), b)
	}
	report := func(how string, kind hidreport.Kind) {
		f.call(&fakeCall{r.ID, how, kind, r.Data, func(n int, err error) {
			switch {
			case err != nil:
				fail(err)
			case how == "get":
				r.Returns(n, r.Data[:n])
			default:
				r.Returns(n, nil)
			}
		}})
	}
	number := binary.NativeEndian.AppendUint32(nil, uint32(len(f.descriptor)))
	switch {
	case gone:
		r.Fail(unix.ENODEV)
		return
	case r.Code == unix.HIDIOCGRDESCSIZE:
		r.Returns(0, number)
		return
	case r.Code == unix.HIDIOCGRDESC:
		r.Returns(0, append(number, f.descriptor...))
		return
	case r.Code == unix.HIDIOCGRAWINFO:
		b := binary.NativeEndian.AppendUint32(nil, known.bus)
		r.Returns(0, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(b, known.vendor), known.product))
		return
	}
	switch nr := r.Code & 0xFF; {
	case r.Code>>8&0xFF != 'H':
		r.Fail(unix.EINVAL)
	case nr == getRawName:
		text(known.productName)
	case nr == getRawUniq:
		text(known.serial)
	case nr == setFeature:
		report("set", hidreport.Feature)
	case nr == getFeature:
		report("get", hidreport.Feature)
	case nr == getInput && !old:
		report("get", hidreport.Input)
	case nr == setOutput && !old:
		report("set", hidreport.Output)
	case nr == getOutput && !old:
		report("get", hidreport.Output)
	default:
		r.Fail(unix.ENOTTY)
	}
}

// memoryNodes numbers the nodes in memory, because share modes belong to a node in the
// whole process.
var memoryNodes atomic.Uint64

// newMemoryFake makes a fake whose node is in memory.
func newMemoryFake(t testing.TB, descriptor []byte) *fake {
	f := makeFake(t, descriptor)
	at := devnode.Node{FD: -1}
	at.Stat.Ino = memoryNodes.Add(1)
	var next atomic.Uint64
	f.open = func(d *Device, r pnp.OpenRequest) (opened, error) {
		if err := devnode.CheckOpen(d.path, r); err != nil {
			return opened{}, err
		}
		if r.Disposition == pnp.CREATE_NEW {
			return opened{}, pnp.ERROR_FILE_EXISTS
		}
		at := at
		at.Read, at.Write = r.WantsRead(), r.WantsWrite() && !d.src.ReadOnly
		if r.WantsWrite() && !at.Read && !at.Write {
			return opened{}, pnp.ERROR_ACCESS_DENIED
		}
		n := &memoryNode{f: f, id: next.Add(1), woken: make(chan struct{}, 1), over: make(chan struct{})}
		if err := f.opened(n.id, func(*fakeQueue) { n.wake() }); err != nil {
			return opened{}, err
		}
		known := f.facts
		known.addSysfs(d.sysfs, sysfs.Number{Kind: "char"})
		return opened{n, at, f.descriptor, known}, nil
	}
	t.Cleanup(f.unplug)
	return f
}

// memoryNode is a node without a kernel, for machines without FUSE.
type memoryNode struct {
	f     *fake
	id    uint64
	woken chan struct{} // something may have changed
	over  chan struct{} // closed by interrupt
	once  sync.Once
}

func (n *memoryNode) wake() {
	select {
	case n.woken <- struct{}{}:
	default:
	}
}

func (n *memoryNode) wait(f func() bool) error {
	for !f() {
		select {
		case <-n.woken:
		case <-n.over:
			return unix.ECANCELED
		}
	}
	return nil
}

func (n *memoryNode) read(b []byte) (int, error) {
	report, err := n.f.read(n.id, len(b))
	return copy(b, report), err
}

func (n *memoryNode) write(b []byte) (int, error)                 { return n.call("write", hidreport.Output, b) }
func (n *memoryNode) set(k hidreport.Kind, b []byte) (int, error) { return n.call("set", k, b) }
func (n *memoryNode) get(k hidreport.Kind, b []byte) (int, error) { return n.call("get", k, b) }
func (n *memoryNode) interrupt()                                  { n.once.Do(func() { close(n.over) }) }
func (n *memoryNode) close() error                                { n.f.closed(n.id); return nil }

func (n *memoryNode) call(how string, k hidreport.Kind, b []byte) (got int, err error) {
	done := make(chan struct{})
	data := b
	if how != "get" {
		data = slices.Clone(b)
	}
	n.f.call(&fakeCall{0, how, k, data, func(n int, e error) {
		got, err = n, e
		close(done)
	}})
	<-done
	return got, err
}

func (n *memoryNode) gone(within time.Duration) bool {
	if within > 0 {
		n.f.leave()
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	return n.f.gone
}
