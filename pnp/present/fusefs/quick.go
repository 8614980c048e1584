// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"math/bits"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// Most reads of a file are of what was read ahead, or take one request of the client. Such
// a read is answered by the goroutine that reads /dev/fuse, or by the one that brings the
// client's reply, so that no thread is woken up for it. Whatever else there is to do, handle
// does: also for a read that failed, fell short or was interrupted, as if it had not been
// tried.

// quickFiles are the files of a connection, for such reads.
type quickFiles interface {
	// readNow reads into p what was read ahead. If it returns 0, ask says whether ask may
	// be called.
	readNow(fh, off uint64, p []byte, flags uint32) (n int, ask bool)
	// ask asks the client. done is called once, if ok, and does not wait: with n if p has
	// all that the read has to return.
	ask(fh, off uint64, p []byte, done func(n int, whole bool)) (cancel func(), ok bool)
}

// quickRead is a read that the client was asked for. Whoever takes it out of conn.asked
// answers it, and ends what it counts for in conn.running.
type quickRead struct {
	msg    []byte
	cancel func() // guarded by conn.mu
}

// readBody is the size of struct fuse_read_in: fh, offset, size, read_flags, lock_owner,
// flags, padding.
const readBody = 40

// tryRead reports whether a request needs nothing else: it is a read that has been answered,
// or will be.
func (c *conn) tryRead(msg []byte) bool {
	if c.quick == nil || len(msg) < inHeader+readBody || order.Uint32(msg[4:]) != opRead {
		return false
	}
	unique, body, size := order.Uint64(msg[8:]), msg[inHeader:], payload(opRead, msg)
	fh, off, flags := order.Uint64(body), order.Uint64(body[8:]), order.Uint32(body[32:])
	pool := &c.replies[bits.Len(uint(max(size, 1)-1))]
	buf := pool.Get().(*[]byte)
	p := (*buf)[outHeader:][:size]
	answer := func(n int) {
		b := (*buf)[:outHeader+n]
		order.PutUint32(b, uint32(len(b)))
		order.PutUint32(b[4:], 0)
		order.PutUint64(b[8:], unique)
		c.reply(b)
		pool.Put(buf)
	}
	n, ask := c.quick.readNow(fh, off, p, flags)
	if n > 0 {
		answer(n)
		return true
	}
	if !ask {
		pool.Put(buf)
		return false
	}

	q := &quickRead{msg: msg}
	c.mu.Lock()
	c.asked[unique] = q
	c.mu.Unlock()
	c.running.Add(1)
	cancel, ok := c.quick.ask(fh, off, p, func(n int, whole bool) {
		switch {
		case !c.take(unique, q): // buf is nobody's any more
		case whole:
			answer(n)
			c.running.Done()
		default:
			pool.Put(buf)
			go c.handleCounted(msg)
		}
	})
	if ok {
		c.mu.Lock()
		q.cancel = cancel
		c.mu.Unlock()
		return true
	}
	pool.Put(buf)
	if !c.take(unique, q) {
		return true // it was interrupted: interrupted has seen to it
	}
	c.running.Done()
	return false
}

// take takes q out of asked. It reports whether it was there.
func (c *conn) take(unique uint64, q *quickRead) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked[unique] != q {
		return false
	}
	delete(c.asked, unique)
	return true
}

// interrupted has handle carry out a read that the kernel interrupts, if it is one that the
// client was asked for. The kernel then interrupts that, since it repeats an interrupt that
// meets nothing.
func (c *conn) interrupted(unique uint64) {
	c.mu.Lock()
	q := c.asked[unique]
	delete(c.asked, unique)
	var cancel func()
	if q != nil {
		cancel = q.cancel
	}
	c.mu.Unlock()
	if q != nil {
		go c.handleCounted(q.msg)
	}
	if cancel != nil {
		cancel()
	}
}

// handleCounted is handle for a request that is counted in c.running.
func (c *conn) handleCounted(msg []byte) {
	defer c.running.Done()
	c.handle(msg)
}

// quickFile returns a file whose bytes stay where they are, and what of p is within it.
func (t *tree) quickFile(fh, off uint64, p []byte) (f *randomFile, rest []byte) {
	o := t.opened(fh)
	if o == nil {
		return nil, nil
	}
	f, ok := o.openFile.(*randomFile)
	if !ok {
		return nil, nil
	}
	size := f.file.Size()
	if off >= size {
		return nil, nil
	}
	return f, p[:min(uint64(len(p)), size-off)]
}

// readNow implements quickFiles.
func (t *tree) readNow(fh, off uint64, p []byte, flags uint32) (n int, ask bool) {
	f, p := t.quickFile(fh, off, p)
	if f == nil || flags&unix.O_DIRECT != 0 {
		return 0, false
	}
	read, ask := f.reader.ReadNow(p, off)
	if read {
		n = len(p)
	}
	return n, ask
}

// ask implements quickFiles.
func (t *tree) ask(fh, off uint64, p []byte, done func(n int, whole bool)) (cancel func(), ok bool) {
	f, p := t.quickFile(fh, off, p)
	if f == nil {
		return nil, false
	}
	cancel, err := f.Start(server.Request{Op: pnp.OpRead, Offset: off, Out: p, Done: func(n int, err error) {
		done(n, err == nil && n == len(p))
	}})
	return cancel, err == nil
}
