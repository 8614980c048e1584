// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// handle is the one open of a port.
//
// Calls that talk to the hardware take a slot of the session's pool: IOControls, one
// after the other; asking for the modem lines while an application or output waits for
// them, and moving them; and closing. Non-blocking reads and writes of a terminal do not talk to the hardware and
// take no slot. If they cannot be done at once, a reader and a writer do them: these
// are goroutines that wait in the runtime's poller and end when they have nothing to
// do.
//
// Locks: rx.device, tx.device, keep.lines and events.lines come before q, in this order.
// rx.device is held while the descriptor is read and tx.device while it is written; the
// reader and the writer do not hold q meanwhile. An IOControl that changes the settings
// holds both, since the kernel blocks reads and writes meanwhile.
type handle struct {
	dev         *Device
	file        *os.File // owns the descriptor
	conn        syscall.RawConn
	port        port
	read, write bool
	claim       *devnode.Claim
	terminal    *devnode.Terminal
	workers     pnp.Workers
	wake        chan struct{} // wakes the watcher

	// q guards everything below.
	q *queue.Queue
	// An IOControl that does not wait for the driver moves from controls to
	// immediate or waits, which hold one request at most.
	controls, reads, writes, immediate, waits *queue.Lane
	// driving is set while the driver carries out an IOControl. Then only the
	// reader and the writer read and write, since the driver may block them.
	driving bool
	set     settings

	rx     receiver
	tx     transmitter
	events events
	keep   keeper
}

// newHandle makes the handle of an opened node. It owns the descriptor, even if it
// fails, and the claim unless it fails.
func newHandle(d *Device, n devnode.Node, claim *devnode.Claim, r pnp.OpenRequest) (*handle, error) {
	h := &handle{
		dev: d, read: n.Read, write: n.Write, claim: claim, workers: r.Workers,
		wake: make(chan struct{}, 1), q: queue.New(d.path, r.Workers, d.log),
	}
	if h.workers == nil {
		h.workers = queue.Unbounded{}
	}
	h.rx.memory = r.Memory
	h.file = os.NewFile(uintptr(n.FD), d.path) // the descriptor is non-blocking
	if err := h.prepare(&n); err != nil {
		err = devnode.Failure(n.FD, err)
		h.file.Close()
		return nil, err
	}
	return h, nil
}

func (h *handle) prepare(n *devnode.Node) error {
	if err := h.claim.Opened(n); err != nil {
		return err
	}
	var err error
	if h.port, err = newPort(n.FD, uint64(n.Stat.Rdev)); err != nil {
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("not a terminal: %w", pnp.ERROR_NOT_SUPPORTED)
		}
		return err
	}
	if h.conn, err = h.file.SyscallConn(); err != nil {
		return err
	}
	if h.terminal, err = devnode.EnterTerminal(n, h.begin); err != nil {
		return err
	}
	h.raiseLines()
	h.startCounting()
	h.controls = h.q.Add(queue.Lane{Try: h.tryControl, Do: h.doControl})
	h.reads = h.q.Add(queue.Lane{Try: func(*queue.Item) { h.receive() }})
	h.writes = h.q.Add(queue.Lane{Try: func(*queue.Item) { h.transmit() }})
	h.immediate = h.q.Add(queue.Lane{})
	h.waits = h.q.Add(queue.Lane{Await: h.awaitLook, Do: h.lookForWait})
	return nil
}

// begin sets the port up as the package's documentation says.
func (h *handle) begin(now unix.Termios) error {
	if err := h.port.exclusive(true); err != nil {
		return fmt.Errorf("TIOCEXCL: %w", err)
	}
	t, err := h.port.setTermios(raw(now))
	if err != nil {
		_ = h.port.exclusive(false)
		return fmt.Errorf("set raw mode: %w", err)
	}
	h.set = defaultSettings(t)
	return nil
}

// raiseLines raises DTR and RTS. Not all drivers do that, and only at the first open.
func (h *handle) raiseLines() {
	if !h.port.hasLines {
		return
	}
	const lines = unix.TIOCM_DTR | unix.TIOCM_RTS
	if err := h.port.setLines(lines, true); err != nil {
		h.set.refused = lines
		h.dev.log.Debug("raising DTR and RTS failed", "err", err)
	}
}

// spawn starts a goroutine of the handle, unless *running says that it runs already.
// The goroutine sets *running to false when it ends. The queue is locked.
func (h *handle) spawn(what string, running *bool, f func()) {
	if *running || !h.q.EnterLocked() {
		return
	}
	*running = true
	go func() {
		defer h.q.Leave()
		defer pnp.Guard(h.dev.log, what+" "+h.dev.path, func() { h.broken(running) })
		f()
	}()
}

// after calls f after wait, with no lock held.
func (h *handle) after(wait time.Duration, f func()) *time.Timer {
	return time.AfterFunc(wait, func() {
		defer pnp.Guard(h.dev.log, "timing "+h.dev.path, func() { h.broken(nil) })
		f()
	})
}

// broken ends a port after a panic: pending and later requests fail. running belongs
// to the goroutine that ends, if any.
func (h *handle) broken(running *bool) {
	h.q.Lock()
	defer h.q.Unlock()
	if running != nil {
		*running = false
	}
	h.q.End(pnp.E_UNEXPECTED)
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	if hr := check(r); hr.Failed() {
		r.Complete(hr, 0)
		return
	}
	h.q.Lock()
	defer h.q.Unlock()
	switch {
	case h.aborting() && (r.Op != pnp.OpIOControl || r.Code != IOCTL_SERIAL_GET_COMMSTATUS):
		h.q.AnswerLocked(r, pnp.ERROR_OPERATION_ABORTED, 0)
	case r.Op == pnp.OpIOControl:
		h.submitControl(r)
	case r.Op == pnp.OpRead && !h.read, r.Op == pnp.OpWrite && !h.write:
		h.q.AnswerLocked(r, pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Buffer()) == 0:
		h.q.AnswerLocked(r, pnp.S_OK, 0)
	case r.Op == pnp.OpRead:
		h.rx.came++
		h.reads.Put(r)
	default:
		h.writes.Put(r)
	}
}

// aborting reports whether an error of the line aborts all requests until the
// application asks for the error (SERIAL_ERROR_ABORT).
func (h *handle) aborting() bool {
	return h.set.handflow.ControlHandShake&SERIAL_ERROR_ABORT != 0 && h.events.errors != 0
}

// Cancel implements pnp.Handle. An IOControl in the driver goes on; its result is
// dropped. More of a cancelled write may be sent than its count says.
func (h *handle) Cancel(r *pnp.Request) {
	if h.q.Cancel(r) == nil {
		return
	}
	h.q.Lock()
	defer h.q.Unlock()
	// It may be the turn of the next one.
	h.receive()
	h.transmit()
}

// lost ends a port that hung up. The queue is locked.
func (h *handle) lost() {
	if h.q.Ended() != pnp.S_OK {
		return
	}
	if it := h.reads.First(); it != nil {
		h.q.Finish(it, pnp.ERROR_DEVICE_NOT_CONNECTED, h.rx.take(it.R.Out))
	}
	h.rx.drop()
	h.q.End(pnp.ERROR_DEVICE_NOT_CONNECTED)
}

// failure returns the result for an error of the driver; S_OK for nil. It may wait to
// find out whether the device has gone. The queue is not locked.
func (h *handle) failure(err error) pnp.HRESULT {
	err = devnode.Failure(h.port.fd, err)
	h.q.Lock()
	defer h.q.Unlock()
	return h.failureLocked(err)
}

// failureLocked is like failure, but the caller has locked the queue.
func (h *handle) failureLocked(err error) pnp.HRESULT {
	hr := pnp.HRESULTOf(err)
	if err == nil || hr != pnp.ERROR_DEVICE_NOT_CONNECTED && !h.port.hungUp() {
		return hr
	}
	h.lost()
	return pnp.ERROR_DEVICE_NOT_CONNECTED
}

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	// The next open waits for this one rather than fail.
	h.claim.Closing(busyLimit)
	h.q.Close(h.close, released)
	h.q.Lock()
	h.rx.drop()
	if h.keep.timer != nil {
		h.keep.timer.Stop()
	}
	h.q.Unlock()
	// Wakes the reader and the writer; the end of its wait wakes the watcher.
	_ = h.file.SetDeadline(time.Unix(1, 0))
}

// close restores the port and closes it. Nobody else uses it.
func (h *handle) close() {
	// Last, so that the next open finds the port closed.
	defer h.claim.Release()
	defer func() {
		if err := h.file.Close(); err != nil {
			h.dev.log.Warn("closing failed", "err", err)
		}
	}()
	defer h.restore()
	if h.set.breaking {
		_ = h.port.sendBreak(false)
	}
	if h.set.stopped {
		_ = h.port.flow(true)
	}
	if lost := h.port.drain(&h.set.termios, h.dev.drainLimit); lost > 0 && !h.port.hungUp() {
		h.dev.log.Warn("data is lost: the port did not send it before it was closed", "bytes", lost)
	}
	h.endToggle()
	h.q.Lock()
	defer h.q.Unlock()
	h.rx.drop() // an IOControl may have added to it since Close
}

// restore restores the settings of the port, unless a character device has it open,
// too, and lets others open it.
func (h *handle) restore() {
	err := h.terminal.Leave(h.port.fd,
		func(saved unix.Termios) error { return devnode.SetTermios(h.port.fd, saved) },
		func(saved unix.Termios) error { return devnode.SetTermios(h.port.fd, devnode.Raw(saved)) })
	err = errors.Join(err, h.port.exclusive(false))
	if err != nil && !h.port.hungUp() {
		h.dev.log.Warn("restoring the terminal failed", "err", err)
	}
}
