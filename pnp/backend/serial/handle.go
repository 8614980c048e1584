// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// handle is the one open of a port. It has at most four goroutines, each of
// which lives only while there is something for it to do: the reader and the
// writer, which wait in the runtime's poller; the controller, which carries out
// the IOControls that talk to the driver, one after the other; and the watcher,
// which looks at the modem lines while an application waits for them.
//
// Locks: rx.device, tx.device and events.lines come before mu. Whoever reads or writes the
// descriptor holds the first two; the reader and the writer do so without mu,
// since a driver that changes its settings holds up whoever reads or writes
// beside it. Requests are completed without any lock, by unlock.
//
// Shutdown: Close completes everything that is pending and wakes the goroutines;
// the last of them and Close to be through starts one that restores the
// terminal and closes the descriptor.
type handle struct {
	dev         *Device
	file        *os.File // owns the descriptor
	conn        syscall.RawConn
	port        port
	read, write bool
	saved       unix.Termios
	restored    chan struct{}

	mu       sync.Mutex
	finished []result // to be completed once mu is free
	closed   bool
	closing  chan struct{} // closed with closed
	gone     bool          // the port hung up
	set      settings

	rx      receiver
	tx      transmitter
	control controller
	events  events

	// users are the goroutines and the open handle itself.
	users atomic.Int32
}

// result is what a request is about to be completed with.
type result struct {
	r  *pnp.Request
	hr pnp.HRESULT
	n  int
}

// newHandle makes the handle of an opened node, whose descriptor it owns even if
// it fails.
func newHandle(d *Device, n devnode.Node) (*handle, error) {
	h := &handle{
		dev: d, read: n.Read, write: n.Write,
		restored: make(chan struct{}), closing: make(chan struct{}),
	}
	h.file = os.NewFile(uintptr(n.FD), d.path) // the descriptor is non-blocking
	if err := h.prepare(n); err != nil {
		h.file.Close()
		return nil, err
	}
	return h, nil
}

func (h *handle) prepare(n devnode.Node) error {
	var err error
	if h.port, h.saved, err = newPort(n.FD, uint64(n.Stat.Rdev)); err != nil {
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("not a terminal: %w", pnp.ERROR_NOT_SUPPORTED)
		}
		return err
	}
	if h.conn, err = h.file.SyscallConn(); err != nil {
		return err
	}
	if err := h.port.exclusive(true); err != nil {
		return fmt.Errorf("TIOCEXCL: %w", err)
	}
	t, err := h.port.setTermios(raw(h.saved))
	if err != nil {
		_ = h.port.exclusive(false)
		return fmt.Errorf("set raw mode: %w", err)
	}
	h.set = defaultSettings(t)
	h.raiseLines()
	h.startCounting()
	h.users.Store(1)
	return nil
}

// raiseLines has DTR and RTS be what the settings say. Drivers raise them for
// the first open alone, and not all of them do.
func (h *handle) raiseLines() {
	if !h.port.hasLines {
		return
	}
	if err := h.port.setLines(unix.TIOCM_DTR|unix.TIOCM_RTS, true); err != nil {
		h.dev.log.Debug("raising DTR and RTS failed", "err", err)
	}
}

// unlock releases mu and completes what was finished under it.
func (h *handle) unlock() {
	finished := h.finished
	h.finished = nil
	h.mu.Unlock()
	for _, f := range finished {
		h.complete(f)
	}
}

// settle completes what was finished. The caller holds no lock.
func (h *handle) settle() {
	h.mu.Lock()
	h.unlock()
}

// spawn starts a goroutine of the handle, unless running says that there is one,
// which then ends by setting it to false. The caller holds mu.
func (h *handle) spawn(what string, running *bool, f func()) {
	if *running {
		return
	}
	*running = true
	h.users.Add(1)
	go func() {
		defer h.leave()
		defer pnp.Guard(h.dev.log, what+" "+h.dev.path, func() { h.broken(running) })
		f()
	}()
}

// after has f called in a while, with no lock held.
func (h *handle) after(wait time.Duration, f func()) *time.Timer {
	return time.AfterFunc(wait, func() {
		defer pnp.Guard(h.dev.log, "timing "+h.dev.path, func() { h.broken(nil) })
		f()
	})
}

// broken is the end of a port at which something panicked: what is pending
// fails, and nothing begins any more. running belongs to the goroutine that
// ends with this, if any.
func (h *handle) broken(running *bool) {
	h.mu.Lock()
	defer h.unlock()
	if running != nil {
		*running = false
	}
	h.gone = true
	h.abortAll(pnp.E_UNEXPECTED)
}

// complete lets no panic out: it would keep the requests behind f from
// completing, and meet callers of unlock that count on having mu again.
func (h *handle) complete(f result) {
	defer pnp.Guard(h.dev.log, "completing a request for "+h.dev.path, nil)
	f.r.Complete(f.hr, f.n)
}

// finish has r completed when mu is released. The caller has taken r out of
// where Cancel looks for it, so this is its one result.
func (h *handle) finish(r *pnp.Request, hr pnp.HRESULT, n int) {
	h.finished = append(h.finished, result{r, hr, n})
}

// Try implements pnp.Handle. It takes every request: what cannot wait is done,
// the rest is queued.
func (h *handle) Try(r *pnp.Request) bool {
	h.Do(r)
	return true
}

// Do implements pnp.Handle. It does not wait.
func (h *handle) Do(r *pnp.Request) {
	defer pnp.Guard(h.dev.log, "beginning a request for "+h.dev.path, func() {
		h.broken(nil)
		h.complete(result{r, pnp.E_UNEXPECTED, 0})
	})
	switch r.Op {
	case pnp.OpRead:
		h.doRead(r)
	case pnp.OpWrite:
		h.doWrite(r)
	default:
		h.doControl(r)
	}
}

// refuse finishes r if the state of the handle does not let it begin. The caller
// holds mu, and keeps it until it has put r where Cancel finds it.
func (h *handle) refuse(r *pnp.Request) bool {
	switch {
	case h.closed, r.Cancelled():
		h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
	case h.gone:
		h.finish(r, pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	case h.aborting() && (r.Op != pnp.OpIOControl || r.Code != IOCTL_SERIAL_GET_COMMSTATUS):
		h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
	default:
		return false
	}
	return true
}

// aborting reports whether an error of the line has everything aborted until
// the application asks for it (SERIAL_ERROR_ABORT).
func (h *handle) aborting() bool {
	return h.set.handflow.ControlHandShake&SERIAL_ERROR_ABORT != 0 && h.events.errors != 0
}

// Cancel implements pnp.Handle. What is at the driver just then goes on there,
// its result is dropped; of a cancelled write more may be sent than its count
// tells.
func (h *handle) Cancel(r *pnp.Request) {
	h.mu.Lock()
	defer h.unlock()
	// What is in none of these places is complete, or about to be, or has not
	// come yet and will be refused.
	switch r.Op {
	case pnp.OpRead:
		h.cancelRead(r)
	case pnp.OpWrite:
		h.cancelWrite(r)
	default:
		h.cancelControl(r)
		if h.tx.immediate == r {
			h.tx.immediate = nil
			h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
		}
		if h.events.wait == r {
			h.events.wait = nil
			h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
		}
	}
}

// abortAll finishes everything that is pending.
func (h *handle) abortAll(hr pnp.HRESULT) {
	h.abortReads(hr)
	h.abortWrites(hr)
	h.abortControls(hr)
	if h.events.wait != nil {
		h.finish(h.events.wait, hr, 0)
		h.events.wait = nil
	}
}

// lost is the end of a port that hung up.
func (h *handle) lost() {
	if h.gone || h.closed {
		return
	}
	h.gone = true
	if len(h.rx.queue) > 0 {
		op := h.rx.queue[0]
		h.rx.pop()
		h.finish(op.r, pnp.ERROR_DEVICE_NOT_CONNECTED, h.rx.take(op.r.Out))
	}
	h.rx.buffer = nil
	h.abortAll(pnp.ERROR_DEVICE_NOT_CONNECTED)
}

// failure is the result for what the driver failed with.
func (h *handle) failure(err error) pnp.HRESULT {
	if !h.port.hungUp() {
		return pnp.HRESULTOf(err)
	}
	h.mu.Lock()
	defer h.unlock()
	h.lost()
	return pnp.ERROR_DEVICE_NOT_CONNECTED
}

// Close implements pnp.Handle.
func (h *handle) Close() {
	h.mu.Lock()
	h.closed = true
	close(h.closing)
	h.rx.buffer = nil
	h.abortAll(pnp.ERROR_OPERATION_ABORTED)
	// The next open does not collide with this one, but waits for it.
	h.dev.release(h.restored)
	// Wakes the reader and the writer.
	_ = h.file.SetDeadline(time.Unix(1, 0))
	defer h.unlock()
	h.leave()
}

// leave ends one use of the descriptor. Restoring and closing may wait until
// everything is sent, which no caller of the handle may.
func (h *handle) leave() {
	if h.users.Add(-1) > 0 {
		return
	}
	go func() {
		// Last: the next open finds a port that nobody has open.
		defer close(h.restored)
		defer pnp.Guard(h.dev.log, "closing "+h.dev.path, nil)
		defer func() {
			if err := h.file.Close(); err != nil {
				h.dev.log.Warn("closing failed", "err", err)
			}
		}()
		if err := h.restore(); err != nil && !h.port.hungUp() {
			h.dev.log.Warn("restoring the terminal failed", "err", err)
		}
	}()
}

// restore undoes what was done to the port. Nobody else uses the handle.
func (h *handle) restore() error {
	if h.set.breaking {
		_ = h.port.sendBreak(false)
	}
	if h.set.stopped {
		_ = h.port.flow(true)
	}
	return h.port.restore(h.saved)
}
