// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// changeHandflow is IOCTL_SERIAL_SET_HANDFLOW. The caller holds rx.device, tx.device and
// keep.lines.
func (h *handle) changeHandflow(f handflow) pnp.HRESULT {
	before, did := h.set.handflow, h.set.hand
	s := f.handshake(h.port)
	kernel := f.toggles() && h.beginRS485()
	if kernel {
		s.toggle = false
	}
	if s.toggle {
		h.chipIsEmpty() // now, probably
	}
	hr := h.setFlow(f, s)
	if !f.toggles() || hr.Failed() && !before.toggles() {
		h.endRS485()
	}
	if hr.Failed() {
		return hr
	}
	if f != before && f.wants() && s == (handshake{}) && !kernel {
		h.dev.log.Info("this port does no handshake by DTR, DSR, DCD or RTS: it is remembered",
			"ControlHandShake", f.ControlHandShake, "FlowReplace", f.FlowReplace)
	}
	// As in serial.sys, a line whose mode stays the same does not move: the
	// application may have set it since.
	var dtr, rts error
	if (before.ControlHandShake^f.ControlHandShake)&SERIAL_DTR_MASK != 0 {
		dtr = h.takeLine(unix.TIOCM_DTR, f.ControlHandShake&SERIAL_DTR_CONTROL != 0 || f.autoDTR())
	}
	if (before.FlowReplace^f.FlowReplace)&SERIAL_RTS_MASK != 0 || (did.driven()^s.driven())&unix.TIOCM_RTS != 0 {
		switch {
		case f.rtsHandshake() && f.ctsHandshake(), kernel: // the kernel moves it
		default:
			rts = h.takeLine(unix.TIOCM_RTS, f.FlowReplace&SERIAL_RTS_CONTROL != 0 && !f.toggles() || f.rtsHandshake())
		}
	}
	return h.failure(errors.Join(dtr, rts))
}

// takeLine moves a line whose mode has changed, and so whoever drives it.
func (h *handle) takeLine(line int, on bool) error {
	on = h.begins(line, on)
	err := h.setLine(line, on)
	h.q.Lock()
	defer h.q.Unlock()
	if h.keep.up &^= line; on {
		h.keep.up |= line
	}
	return err
}

// begins returns where a line begins: where the port wants it if it drives the line.
func (h *handle) begins(line int, on bool) bool {
	h.q.Lock()
	defer h.q.Unlock()
	if h.set.hand.driven()&line == 0 {
		return on
	}
	return h.linesWanted(time.Now())&line != 0
}

// beginRS485 has the driver drive RTS, if it can: it does so at once, which a process
// cannot. It returns false if the driver cannot.
func (h *handle) beginRS485() bool {
	if h.set.rs485 != nil {
		return true
	}
	old, err := h.port.rs485()
	if err != nil {
		return false
	}
	if old.Flags&rs485Enabled != 0 {
		return true // the administrator has told it how
	}
	set := old
	set.Flags |= rs485Enabled | rs485RTSOnSend | rs485RXDuringTX
	set.Flags &^= rs485RTSAfterSend
	got, err := h.port.setRS485(set)
	if err == nil && got.Flags&(rs485Enabled|rs485RTSOnSend|rs485RTSAfterSend) == rs485Enabled|rs485RTSOnSend {
		h.set.rs485 = &old
		return true
	}
	if err == nil {
		_, _ = h.port.setRS485(old)
	}
	return false
}

// endRS485 undoes beginRS485.
func (h *handle) endRS485() {
	if h.set.rs485 == nil {
		return
	}
	if _, err := h.port.setRS485(*h.set.rs485); err != nil && !h.port.hungUp() {
		h.dev.log.Debug("restoring the RS-485 settings failed", "err", err)
	}
	h.set.rs485 = nil
}

// endToggle lowers an RTS that follows the transmitter when the port is closed. Nobody
// else uses the port.
func (h *handle) endToggle() {
	h.endRS485()
	if !h.set.hand.toggle || h.keep.up&unix.TIOCM_RTS == 0 {
		return
	}
	for end := time.Now().Add(h.dev.drainLimit); time.Now().Before(end); time.Sleep(shortestLook) {
		if h.onItsWay(time.Now()) == 0 && h.chipIsEmpty() || h.port.hungUp() {
			break
		}
	}
	_ = h.setLine(unix.TIOCM_RTS, false)
}
