// SPDX-License-Identifier: Apache-2.0

package image

import (
	"freerdp-pnpdr/pnp"
)

// block is an IO_BLOCK or IO_BLOCK_EX. On the wire it is as the server's process has it,
// with 32 or 64 bits; the address in it means nothing here.
type block struct {
	offset, length, index uint32
	request, kind         byte
	in                    bool
}

// readBlock reads an IO_BLOCK, or an IO_BLOCK_EX if extended is set. data is what follows
// it.
func readBlock(b []byte, extended bool) (k block, data []byte, ok bool) {
	size32, size64 := 16, 24
	if extended {
		size32 = 20
	}
	var at, size int
	switch {
	case len(b) >= size64:
		at, size = 16, size64
	case len(b) >= size32:
		at, size = 12, size32
	default:
		return k, nil, false
	}
	k = block{offset: le.Uint32(b), length: le.Uint32(b[4:]), index: le.Uint32(b[at:])}
	if extended {
		k.request, k.kind, k.in = b[at+4], b[at+5], b[at+6] != 0
	}
	return k, b[size:], true
}

// The parts of bmRequestType.
const (
	directionIn  = 0x80
	typeMask     = 0x60
	typeClass    = 0x20
	typeVendor   = 0x40
	toInterface  = 0x01
	ptpCancel    = 0x64
	ptpEventData = 0x65
	ptpReset     = 0x66
	ptpStatus    = 0x67
)

// registers does IOCTL_READ_REGISTERS and IOCTL_WRITE_REGISTERS: vendor requests by which
// scanners are set up.
func (h *handle) registers(r *pnp.Request) (pnp.HRESULT, int) {
	k, data, ok := readBlock(r.In, false)
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER, 0
	}
	s := setup{kind: typeVendor, request: 0x0C, value: uint16(k.offset), index: uint16(k.index)}
	if k.length > 1 {
		s.request = 0x04 // with the address counted up
	}
	if r.Code == IOCTL_READ_REGISTERS {
		s.kind |= directionIn
	}
	return h.send(s, k.length, data, r)
}

// request does IOCTL_SEND_USB_REQUEST, a vendor's request to the device, and
// IOCTL_SEND_USB_REQUEST_PTP, one of the image class to the interface.
func (h *handle) request(r *pnp.Request) (pnp.HRESULT, int) {
	k, data, ok := readBlock(r.In, true)
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER, 0
	}
	s := setup{kind: typeVendor, request: k.request, value: uint16(k.offset), index: uint16(k.index)}
	if r.Code == IOCTL_SEND_USB_REQUEST_PTP || k.kind&typeMask == typeClass {
		switch k.request {
		case ptpCancel, ptpEventData, ptpReset, ptpStatus:
		default:
			return pnp.ERROR_ACCESS_DENIED, 0
		}
		s.kind, s.index = typeClass|toInterface, uint16(h.c.layout.number)
	}
	if k.in {
		s.kind |= directionIn
	}
	return h.send(s, k.length, data, r)
}

// send does a control transfer of length bytes. What is to be sent is in the server's
// memory, at an address; it comes along behind the structure, or in the output buffer.
func (h *handle) send(s setup, length uint32, data []byte, r *pnp.Request) (pnp.HRESULT, int) {
	if s.kind&directionIn != 0 {
		if uint64(len(r.Out)) < uint64(length) {
			return pnp.ERROR_INVALID_PARAMETER, 0
		}
		return h.transfer(s, r.Out[:length])
	}
	if len(data) == 0 {
		data = r.Out
	}
	if uint64(len(data)) < uint64(length) || length > longestControl {
		return pnp.ERROR_INVALID_PARAMETER, 0
	}
	hr, _ := h.transfer(s, data[:length])
	return hr, 0
}
