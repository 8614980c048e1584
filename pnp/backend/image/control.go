// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/binary"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

var le = binary.LittleEndian

// ioControl answers a request, or puts it in the lane where it waits.
func (h *handle) ioControl(r *pnp.Request) {
	switch r.Code {
	case IOCTL_WAIT_ON_DEVICE_EVENT:
		h.waits.Submit(r)
		return
	case IOCTL_READ_REGISTERS, IOCTL_WRITE_REGISTERS, IOCTL_RESET_PIPE, IOCTL_GET_USB_DESCRIPTOR,
		IOCTL_SEND_USB_REQUEST, IOCTL_SEND_USB_REQUEST_PTP:
		h.controls.Submit(r)
		return
	}
	h.q.Lock()
	defer h.q.Unlock()
	hr, out := h.immediate(r)
	if hr == pnp.S_OK && len(r.Out) < len(out) {
		hr = pnp.ERROR_INVALID_PARAMETER
	}
	n := 0
	if hr == pnp.S_OK {
		n = copy(r.Out, out)
	}
	h.q.AnswerLocked(r, hr, n)
}

// immediate answers what needs no transfer. The queue is locked.
func (h *handle) immediate(r *pnp.Request) (hr pnp.HRESULT, out []byte) {
	l := &h.c.layout
	switch r.Code {
	case IOCTL_GET_VERSION: // DRV_VERSION
		return pnp.S_OK, u32s(1, 0, 0)
	case IOCTL_GET_DEVICE_DESCRIPTOR: // DEVICE_DESCRIPTOR
		out = le.AppendUint16(nil, l.vendor)
		out = le.AppendUint16(out, l.product)
		out = le.AppendUint16(out, l.revision)
		return pnp.S_OK, le.AppendUint16(out, 0x0409) // English, which every device has
	case IOCTL_GET_CHANNEL_ALIGN_RQST: // CHANNEL_INFO
		size := func(kind byte, in bool) uint32 {
			if p := l.find(kind, in); p != nil {
				return uint32(p.maxPacket)
			}
			return 0
		}
		return pnp.S_OK, u32s(size(transferInterrupt, true), size(transferBulk, true), size(transferBulk, false))
	case IOCTL_GET_PIPE_CONFIGURATION:
		return pnp.S_OK, l.configuration()
	case IOCTL_SET_TIMEOUT: // USBSCAN_TIMEOUT, in seconds
		if len(r.In) < 12 {
			return pnp.ERROR_INVALID_PARAMETER, nil
		}
		seconds := func(i int) time.Duration { return time.Duration(le.Uint32(r.In[4*i:])) * time.Second }
		h.reads.timeout, h.writes.timeout, h.timeoutEvent = seconds(0), seconds(1), seconds(2)
		return pnp.S_OK, nil
	case IOCTL_CANCEL_IO:
		return h.cancelIO(r), nil
	}
	return pnp.ERROR_INVALID_FUNCTION, nil
}

func u32s(values ...uint32) (b []byte) {
	for _, v := range values {
		b = le.AppendUint32(b, v)
	}
	return b
}

// configuration returns a USBSCAN_PIPE_CONFIGURATION.
func (l *layout) configuration() []byte {
	pipes := l.pipes[:min(len(l.pipes), maxPipes)]
	b := le.AppendUint32(nil, uint32(len(pipes)))
	for _, p := range pipes {
		b = le.AppendUint16(b, uint16(p.maxPacket))
		b = append(b, p.address, p.interval)
		b = le.AppendUint32(b, uint32(p.kind))
	}
	return append(b, make([]byte, 4+8*maxPipes-len(b))...)
}

// cancelIO ends the requests of a pipe. The queue is locked.
func (h *handle) cancelIO(r *pnp.Request) pnp.HRESULT {
	which, ok := pipeType(r)
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER
	}
	for _, d := range h.directions(which) {
		d.stopAll()
		d.lane.Abort(pnp.ERROR_OPERATION_ABORTED)
	}
	if which == EVENT_PIPE || which == ALL_PIPE {
		h.waits.Abort(pnp.ERROR_OPERATION_ABORTED)
	}
	return pnp.S_OK
}

// pipeType reads a PIPE_TYPE.
func pipeType(r *pnp.Request) (which uint32, ok bool) {
	if len(r.In) < 4 {
		return 0, false
	}
	which = le.Uint32(r.In)
	return which, which <= ALL_PIPE
}

// directions returns those that a PIPE_TYPE means.
func (h *handle) directions(which uint32) (all []*direction) {
	if which == READ_DATA_PIPE || which == ALL_PIPE {
		all = append(all, h.reads)
	}
	if which == WRITE_DATA_PIPE || which == ALL_PIPE {
		all = append(all, h.writes)
	}
	return all
}

// control does what waits for the device.
func (h *handle) control(it *queue.Item) (pnp.HRESULT, int) {
	r := it.R
	switch r.Code {
	case IOCTL_RESET_PIPE:
		return h.resetPipe(r), 0
	case IOCTL_GET_USB_DESCRIPTOR: // USBSCAN_GET_DESCRIPTOR
		if len(r.In) < 4 || len(r.Out) < 4 {
			return pnp.ERROR_INVALID_PARAMETER, 0
		}
		const getDescriptor = 6
		return h.transfer(setup{kind: 0x80, request: getDescriptor, value: uint16(r.In[0])<<8 | uint16(r.In[1]), index: le.Uint16(r.In[2:])}, r.Out)
	case IOCTL_READ_REGISTERS, IOCTL_WRITE_REGISTERS:
		return h.registers(r)
	}
	return h.request(r)
}

// resetPipe clears the halt of pipes.
func (h *handle) resetPipe(r *pnp.Request) pnp.HRESULT {
	which, ok := pipeType(r)
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER
	}
	var pipes []*pipe
	if which == EVENT_PIPE || which == ALL_PIPE {
		pipes = append(pipes, h.c.layout.find(transferInterrupt, true))
	}
	if which == READ_DATA_PIPE || which == ALL_PIPE {
		pipes = append(pipes, h.c.layout.find(transferBulk, true))
	}
	if which == WRITE_DATA_PIPE || which == ALL_PIPE {
		pipes = append(pipes, h.c.layout.find(transferBulk, false))
	}
	for _, p := range pipes {
		if p == nil {
			continue
		}
		if err := h.c.usb.ClearHalt(p.address); err != nil {
			return result(h.c.failure(err))
		}
	}
	_ = h.c.listen() // it is in the log
	return pnp.S_OK
}

// setup is a request on the control pipe.
type setup struct {
	kind, request byte
	value, index  uint16
}

const (
	// controlTimeout is how long the device may take for one.
	controlTimeout = 5 * time.Second
	// longestControl is how many bytes of data the kernel lets one have.
	longestControl = 4096
)

// transfer does a control transfer, which brings longestControl bytes at most.
func (h *handle) transfer(s setup, data []byte) (pnp.HRESULT, int) {
	data = data[:min(len(data), longestControl)]
	n, err := h.c.usb.Control(s.kind, s.request, s.value, s.index, data, controlTimeout)
	return result(h.c.failure(err)), n
}
