// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// The IOControls that report what a port is and does.

// getCommStatus is for a port whose driver need not be asked.
func (h *handle) getCommStatus(_, out []byte) pnp.HRESULT {
	h.tellStatus(out, 0)
	return pnp.S_OK
}

func (h *handle) askCommStatus(_, out []byte) pnp.HRESULT {
	now, counted := h.askCounters()
	lines := 0
	if h.watchesLines() {
		var err error
		if lines, err = h.port.lines(); err != nil {
			return h.failure(err)
		}
	}
	h.q.Lock()
	defer h.q.Unlock()
	if counted {
		h.countErrors(now)
	}
	h.tellStatus(out, lines)
	return pnp.S_OK
}

// tellStatus returns the status, with the errors since the last one. Bytes that the
// kernel has not sent yet count as waiting to be sent. Bytes that came for a read that
// waits do not count as waiting to be read. The queue is locked.
func (h *handle) tellStatus(out []byte, lines int) {
	s := status{
		Errors:           h.events.errors,
		HoldReasons:      h.held(lines),
		AmountInOutQueue: uint32(h.pending() + h.port.unsent()),
		WaitForImmediate: uint8(h.immediate.Len()),
	}
	if h.reads.Len() == 0 {
		s.AmountInInQueue = uint32(len(h.rx.buffer) + h.port.unread())
	}
	h.events.errors = 0
	put(out, s)
}

// held returns the reasons why output waits or input is dropped. Only the kernel knows
// whether XOFF was received.
func (h *handle) held(lines int) uint32 {
	reasons := uint32(0)
	if h.set.stopped {
		reasons |= SERIAL_TX_WAITING_FOR_XON
	}
	if h.set.breaking {
		reasons |= SERIAL_TX_WAITING_ON_BREAK
	}
	for _, l := range []struct {
		watched bool
		line    int
		reason  uint32
	}{
		{h.watchesCTS(), unix.TIOCM_CTS, SERIAL_TX_WAITING_FOR_CTS},
		{h.set.hand.out&unix.TIOCM_DSR != 0, unix.TIOCM_DSR, SERIAL_TX_WAITING_FOR_DSR},
		{h.set.hand.out&unix.TIOCM_CAR != 0, unix.TIOCM_CAR, SERIAL_TX_WAITING_FOR_DCD},
		{h.set.hand.deaf, unix.TIOCM_DSR, SERIAL_RX_WAITING_FOR_DSR},
	} {
		if l.watched && lines&l.line == 0 {
			reasons |= l.reason
		}
	}
	return reasons
}

func (h *handle) getProperties(_, out []byte) pnp.HRESULT {
	p := commProp{
		PacketLength:  sizeCommProp,
		PacketVersion: 2,
		ServiceMask:   SERIAL_SP_SERIALCOMM,
		MaxRxQueue:    maxQueue,
		MaxBaud:       SERIAL_BAUD_USER,
		ProvSubType:   SERIAL_SP_RS232,
		ProvCapabilities: SERIAL_PCF_PARITY_CHECK | SERIAL_PCF_XONXOFF | SERIAL_PCF_SETXCHAR |
			SERIAL_PCF_TOTALTIMEOUTS | SERIAL_PCF_INTTIMEOUTS,
		SettableParams:     serialSPAll,
		SettableBaud:       serialBaudAll | SERIAL_BAUD_USER,
		SettableData:       serialDataBits,
		SettableStopParity: serialStopParity,
		CurrentRxQueue:     uint32(h.set.queue),
	}
	if h.port.hasLines {
		p.ProvCapabilities |= SERIAL_PCF_DTRDSR | SERIAL_PCF_RTSCTS | SERIAL_PCF_CD
	}
	if h.port.pseudo {
		p.ProvSubType = SERIAL_SP_UNSPECIFIED
	}
	put(out, p)
	return pnp.S_OK
}

// resetDevice does nothing, as in serial.sys.
func (h *handle) resetDevice(_, _ []byte) pnp.HRESULT { return pnp.S_OK }

// configSize is the size of the driver's own configuration, which does not exist.
func (h *handle) configSize(_, out []byte) pnp.HRESULT {
	put(out, uint32(0))
	return pnp.S_OK
}

// askCounters asks the driver for its counters; false if it has none or fails.
func (h *handle) askCounters() (counters, bool) {
	if !h.port.hasCounters {
		return counters{}, false
	}
	c, err := h.port.counters()
	return c, err == nil
}

// getStats is for a driver without counters.
func (h *handle) getStats(_, out []byte) pnp.HRESULT {
	h.tellStats(out, counters{})
	return pnp.S_OK
}

func (h *handle) askStats(_, out []byte) pnp.HRESULT {
	now, _ := h.askCounters()
	h.q.Lock()
	defer h.q.Unlock()
	h.tellStats(out, now)
	return pnp.S_OK
}

func (h *handle) tellStats(out []byte, now counters) {
	zero := h.events.zero
	put(out, perfStats{
		ReceivedCount:           h.rx.count,
		TransmittedCount:        h.tx.count,
		FrameErrorCount:         uint32(now.Frame - zero.Frame),
		SerialOverrunErrorCount: uint32(now.Overrun - zero.Overrun),
		BufferOverrunErrorCount: uint32(now.Buffers - zero.Buffers),
		ParityErrorCount:        uint32(now.Parity - zero.Parity),
	})
}

func (h *handle) clearStats(_, _ []byte) pnp.HRESULT {
	h.rx.count, h.tx.count, h.events.zero = 0, 0, counters{}
	return pnp.S_OK
}

func (h *handle) askAndClearStats(_, _ []byte) pnp.HRESULT {
	now, _ := h.askCounters()
	h.q.Lock()
	defer h.q.Unlock()
	h.rx.count, h.tx.count, h.events.zero = 0, 0, now
	return pnp.S_OK
}
