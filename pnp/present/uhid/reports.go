// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"fmt"

	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// layout turns reports into the other end's form. On the wire every report has the id
// first, 0 without ids, and is as long as the longest of its kind. The
// kernel passes input reports without that 0, and the others with it.
type layout struct{ *hidreport.Descriptor }

// parse reads a client's descriptor. It fails for what the kernel would not take, or
// could not pass on.
func parse(descriptor []byte) (layout, error) {
	d, err := hidreport.Parse(descriptor)
	if err != nil {
		return layout{}, err
	}
	for k := range hidreport.Kind(hidreport.Kinds) {
		if n := d.ByteLength(k); n > maxData {
			return layout{}, fmt.Errorf("report descriptor: %v report of %d bytes, more than %d", k, n, maxData)
		}
	}
	return layout{d}, nil
}

// A read has room for several reports, since many come while an answer is under way. All
// reads together bring no more than hidraw keeps for a program, 63 reports.
const (
	readReports = 63 / readAhead
	readBytes   = 16 << 10
)

// room is how many bytes a read asks for: room for readReports, or for as many as fit into
// readBytes, but for one at least.
func (l layout) room() int {
	n := l.ByteLength(hidreport.Input)
	return n * max(1, min(readReports, readBytes/max(n, 1)))
}

// input returns the first report that a read brought, as the kernel takes it, and what
// follows it. Both are parts of b. It returns false if the device has no such report.
func (l layout) input(b []byte) (report, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	ids := l.UsesIDs(hidreport.Input)
	id := b[0]
	if !ids {
		id = 0
	}
	n, ok := l.ReportLength(hidreport.Input, id)
	if !ok {
		return nil, nil, false
	}
	rest = b[min(l.ByteLength(hidreport.Input), len(b)):]
	b = b[:min(n, len(b))]
	if !ids {
		b = b[1:]
	}
	return b, rest, len(b) > 0
}

// outgoing returns a report that the kernel sends, as it goes over the wire. It returns
// false if the device has no such report.
func (l layout) outgoing(k hidreport.Kind, data []byte) ([]byte, bool) {
	ids := l.UsesIDs(k)
	if !ids && l.lacksID(k, data) {
		data = append([]byte{0}, data...)
	}
	if len(data) == 0 {
		return nil, false
	}
	id := data[0]
	if !ids {
		id = 0
	}
	n, ok := l.ReportLength(k, id)
	if !ok {
		return nil, false
	}
	b := make([]byte, l.ByteLength(k))
	copy(b[:n], data)
	b[0] = id
	return b, true
}

// lacksID reports whether the kernel itself has made a report without an id: that of a
// keyboard's LEDs has no id in front, unlike what programs send.
func (l layout) lacksID(k hidreport.Kind, data []byte) bool {
	n, ok := l.ReportLength(k, 0)
	return ok && (len(data) == 1 || len(data) == n-1 && data[0] != 0)
}

// question is a report that the kernel asks for.
type question struct {
	code uint32
	id   uint8
	n    int // length of the report, with the id
	room int // length of the longest report
}

// question returns how the client is asked for a report. It returns false if the device
// has no such report.
func (l layout) question(k hidreport.Kind, id uint8) (question, bool) {
	if !l.UsesIDs(k) {
		id = 0
	}
	n, ok := l.ReportLength(k, id)
	code := [hidreport.Kinds]uint32{
		hidreport.Input:   hid.IOCTL_HID_GET_INPUT_REPORT,
		hidreport.Output:  hid.IOCTL_HID_GET_OUTPUT_REPORT,
		hidreport.Feature: hid.IOCTL_HID_GET_FEATURE,
	}[k]
	return question{code, id, n, l.ByteLength(k)}, ok
}

// answer returns the client's answer as programs expect it: with the id first. It is a
// part of b.
func (q question) answer(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	b = b[:min(len(b), q.n)]
	b[0] = q.id
	return b
}
