// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"encoding/binary"
	"unicode/utf16"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/queue"
)

// The IoCodes of hidclass.h.
const (
	IOCTL_HID_GET_DRIVER_CONFIG          = 0xB0190
	IOCTL_HID_SET_DRIVER_CONFIG          = 0xB0194
	IOCTL_HID_GET_POLL_FREQUENCY_MSEC    = 0xB0198
	IOCTL_HID_SET_POLL_FREQUENCY_MSEC    = 0xB019C
	IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS   = 0xB01A0
	IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS   = 0xB01A4
	IOCTL_HID_GET_COLLECTION_INFORMATION = 0xB01A8
	IOCTL_HID_ENABLE_WAKE_ON_SX          = 0xB01AC
	IOCTL_HID_SET_S0_IDLE_TIMEOUT        = 0xB01B0

	IOCTL_HID_GET_COLLECTION_DESCRIPTOR = 0xB0193
	IOCTL_HID_FLUSH_QUEUE               = 0xB0197

	IOCTL_HID_SET_FEATURE       = 0xB0191
	IOCTL_HID_SET_OUTPUT_REPORT = 0xB0195

	IOCTL_HID_GET_FEATURE             = 0xB0192
	IOCTL_GET_PHYSICAL_DESCRIPTOR     = 0xB019A
	IOCTL_HID_GET_HARDWARE_ID         = 0xB019E
	IOCTL_HID_GET_INPUT_REPORT        = 0xB01A2
	IOCTL_HID_GET_OUTPUT_REPORT       = 0xB01A6
	IOCTL_HID_GET_MANUFACTURER_STRING = 0xB01BA
	IOCTL_HID_GET_PRODUCT_STRING      = 0xB01BE
	IOCTL_HID_GET_SERIALNUMBER_STRING = 0xB01C2
	IOCTL_HID_GET_INDEXED_STRING      = 0xB01E2
	IOCTL_HID_GET_MS_GENRE_DESCRIPTOR = 0xB01E6

	IOCTL_HID_ENABLE_SECURE_READ       = 0xB020B
	IOCTL_HID_DISABLE_SECURE_READ      = 0xB020F
	IOCTL_HID_DEVICERESET_NOTIFICATION = 0xB0233
)

// reportControl reports whether an IOControl goes to the device, and if so, which
// kind of report it sets or gets.
func reportControl(code uint32) (k hidreport.Kind, set, ok bool) {
	switch code {
	case IOCTL_HID_SET_FEATURE:
		return hidreport.Feature, true, true
	case IOCTL_HID_SET_OUTPUT_REPORT:
		return hidreport.Output, true, true
	case IOCTL_HID_GET_FEATURE:
		return hidreport.Feature, false, true
	case IOCTL_HID_GET_INPUT_REPORT:
		return hidreport.Input, false, true
	case IOCTL_HID_GET_OUTPUT_REPORT:
		return hidreport.Output, false, true
	}
	return 0, false, false
}

// submitControl answers or queues an IOControl. None of them needs read or write
// access (FILE_ANY_ACCESS in hidclass.h).
func (h *handle) submitControl(r *pnp.Request) {
	k, set, ok := reportControl(r.Code)
	if !ok {
		r.Complete(h.answer(r))
		return
	}
	var hr pnp.HRESULT
	switch {
	case set && h.dev.src.ReadOnly:
		hr = pnp.ERROR_ACCESS_DENIED
	case set:
		_, hr = h.outgoing(k, r.In)
	default:
		_, hr = h.question(k, r)
	}
	if hr.Failed() {
		r.Complete(hr, 0)
		return
	}
	h.controls.Submit(r)
}

// doControl carries out an IOControl that goes to the device.
func (h *handle) doControl(it *queue.Item) (pnp.HRESULT, int) {
	k, set, _ := reportControl(it.R.Code)
	if !set {
		return h.get(k, it.R)
	}
	report, _ := h.outgoing(k, it.R.In)
	_, err := h.node.set(k, report)
	return result(h.node, err, leaving), 0
}

// answer carries out an IOControl that does not go to the device. It fails if the
// device has gone all the same.
func (h *handle) answer(r *pnp.Request) (pnp.HRESULT, int) {
	if !h.q.Enter() {
		return pnp.ERROR_OPERATION_ABORTED, 0
	}
	defer h.q.Leave()
	// This runs on the transport's thread. hidraw's poll cannot block: it only
	// looks at memory and takes no lock.
	if h.node.gone(0) {
		return pnp.ERROR_DEVICE_NOT_CONNECTED, 0
	}
	switch r.Code {
	case IOCTL_HID_GET_COLLECTION_INFORMATION:
		return h.collectionInformation(r.Out)
	case IOCTL_HID_GET_COLLECTION_DESCRIPTOR:
		return h.collectionDescriptor(r.Out)
	case hidreport.IOCTL_PNPDR_HID_GET_IDENTITY:
		return h.identity(r.Out)
	case IOCTL_HID_GET_MANUFACTURER_STRING:
		return stringReply(r.Out, h.facts.manufacturer)
	case IOCTL_HID_GET_PRODUCT_STRING:
		return stringReply(r.Out, h.facts.productName)
	case IOCTL_HID_GET_SERIALNUMBER_STRING:
		return stringReply(r.Out, h.facts.serial)
	case IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS:
		if len(r.Out) < 4 {
			return ERROR_INVALID_USER_BUFFER, 0
		}
		binary.LittleEndian.PutUint32(r.Out, uint32(h.input.buffers()))
		return pnp.S_OK, 4
	case IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS:
		if len(r.In) != 4 {
			return ERROR_INVALID_USER_BUFFER, 0
		}
		return h.input.setBuffers(binary.LittleEndian.Uint32(r.In)), 0
	case IOCTL_HID_FLUSH_QUEUE:
		h.input.flush()
		return pnp.S_OK, 0
	case IOCTL_GET_PHYSICAL_DESCRIPTOR,
		IOCTL_HID_GET_INDEXED_STRING,
		IOCTL_HID_GET_MS_GENRE_DESCRIPTOR,
		IOCTL_HID_GET_HARDWARE_ID,
		IOCTL_HID_GET_DRIVER_CONFIG, IOCTL_HID_SET_DRIVER_CONFIG,
		IOCTL_HID_GET_POLL_FREQUENCY_MSEC, IOCTL_HID_SET_POLL_FREQUENCY_MSEC,
		IOCTL_HID_ENABLE_WAKE_ON_SX, IOCTL_HID_SET_S0_IDLE_TIMEOUT,
		IOCTL_HID_ENABLE_SECURE_READ, IOCTL_HID_DISABLE_SECURE_READ,
		IOCTL_HID_DEVICERESET_NOTIFICATION:
		return pnp.ERROR_NOT_SUPPORTED, 0
	}
	return pnp.ERROR_INVALID_FUNCTION, 0
}

// collectionInformation writes a HID_COLLECTION_INFORMATION (hidclass.h): ULONG
// DescriptorSize, BOOLEAN Polled, UCHAR Reserved1[1], USHORT VendorID, ProductID
// and VersionNumber. DescriptorSize is 0 if there is no preparsed data.
func (h *handle) collectionInformation(out []byte) (pnp.HRESULT, int) {
	const size = 12
	if len(out) < size {
		return ERROR_INVALID_USER_BUFFER, 0
	}
	clear(out[:size])
	binary.LittleEndian.PutUint32(out, uint32(len(h.preparsed())))
	binary.LittleEndian.PutUint16(out[6:], h.facts.vendor)
	binary.LittleEndian.PutUint16(out[8:], h.facts.product)
	binary.LittleEndian.PutUint16(out[10:], h.facts.version)
	return pnp.S_OK, size
}

// collectionDescriptor writes the preparsed data.
func (h *handle) collectionDescriptor(out []byte) (pnp.HRESULT, int) {
	switch b := h.preparsed(); {
	case len(b) == 0:
		return pnp.ERROR_NOT_SUPPORTED, 0
	case len(out) < len(b):
		return ERROR_INVALID_USER_BUFFER, 0
	default:
		return pnp.S_OK, copy(out, b)
	}
}

// preparsed returns the preparsed data; nil if its layout is not known, or if the device has
// several top-level collections, which Windows would refuse. It is made when
// asked for, since few programs ask and it is far longer than the descriptor.
func (h *handle) preparsed() []byte {
	if n := len(h.desc.TopLevel()); n != 1 {
		h.dev.log.Debug("no preparsed data: the device does not have one top-level collection", "collections", n)
		return nil
	}
	b, err := hidreport.Preparsed(h.raw, 0)
	if err != nil {
		h.dev.log.Debug("no preparsed data", "err", err)
	}
	return b
}

// identity writes a hidreport.Identity.
func (h *handle) identity(out []byte) (pnp.HRESULT, int) {
	i := hidreport.Identity{
		Bus: uint16(h.facts.bus), Vendor: h.facts.vendor, Product: h.facts.product, Version: h.facts.version,
		Descriptor: h.raw,
	}
	if b := i.Append(nil); len(b) <= len(out) {
		return pnp.S_OK, copy(out, b)
	}
	return ERROR_INVALID_USER_BUFFER, 0
}

// stringReply writes s as UTF-16 with a terminating zero. If the device has no such
// string, it fails with ERROR_INVALID_PARAMETER.
func stringReply(out []byte, s string) (pnp.HRESULT, int) {
	if s == "" {
		return pnp.ERROR_INVALID_PARAMETER, 0
	}
	units := append(utf16.Encode([]rune(s)), 0)
	n := 2 * len(units)
	if len(out) < n {
		return ERROR_INVALID_USER_BUFFER, 0
	}
	for i, u := range units {
		binary.LittleEndian.PutUint16(out[2*i:], u)
	}
	return pnp.S_OK, n
}

// question is which report a device is asked for.
type question struct {
	first byte // first byte of the reply, as the application sees it
	id    byte
	n     int // length of the report, with the id
}

// question determines which report of kind k is asked for.
//
// Windows takes the report id from the first byte of the output buffer, since
// the code is METHOD_OUT_DIRECT. A server need not send that buffer; but
// HidD_GetFeature and its relatives pass the same buffer as input, so the id is
// taken from there if the output buffer has none. If neither has one, the id is
// that of the only report of the kind, or 0.
func (h *handle) question(k hidreport.Kind, r *pnp.Request) (question, pnp.HRESULT) {
	switch {
	case h.desc.ByteLength(k) == 0:
		return question{}, pnp.ERROR_INVALID_FUNCTION
	case len(r.Out) == 0:
		return question{}, ERROR_INVALID_USER_BUFFER
	}
	first := r.Out[0]
	if first == 0 && len(r.In) > 0 {
		first = r.In[0]
	} else if only, ok := h.desc.Only(k); ok && first == 0 {
		first = only
	}
	id := first
	if !h.desc.UsesIDs(k) {
		id = 0
	}
	n, ok := h.desc.ReportLength(k, id)
	if !ok || len(r.Out) < n {
		return question{}, pnp.ERROR_INVALID_PARAMETER
	}
	return question{first, id, n}, pnp.S_OK
}

// get asks the device for a report.
func (h *handle) get(k hidreport.Kind, r *pnp.Request) (pnp.HRESULT, int) {
	q, _ := h.question(k, r)
	report := r.Out[:q.n]
	clear(report)
	report[0] = q.id
	n, err := h.node.get(k, report)
	if err != nil {
		return result(h.node, err, leaving), 0
	}
	if !h.desc.UsesIDs(k) {
		n = h.facts.withID(report, n)
		report[0] = q.first // Windows leaves that byte alone
	}
	return pnp.S_OK, n
}

// withID makes the answer of a device without ids begin with one. The answer is the first
// n bytes of report; withID returns the new length. Drivers differ: usbhid puts a 0 before
// what the device sent, Bluetooth does not. i2c-hid does since Linux 5.18, and with uhid a
// program decides: there an answer that is one byte short has no id, since few devices
// answer with less than the whole report.
func (f *facts) withID(report []byte, n int) int {
	switch {
	case n == 0:
		return 1
	case f.onUSB:
		return n
	case f.bus == busBluetooth, n == len(report)-1:
		return 1 + copy(report[1:], report[:n])
	}
	return n
}
