// SPDX-License-Identifier: Apache-2.0

// Package hidreport reads HID report descriptors: which collections a device has,
// what they are for and how long its reports are. It does no I/O.
package hidreport

import "fmt"

// Kind is the kind of a report.
type Kind uint8

// The kinds of reports, in the order of HIDP_REPORT_TYPE (hidpi.h).
const (
	Input Kind = iota
	Output
	Feature

	Kinds = 3
)

func (k Kind) String() string {
	switch k {
	case Input:
		return "input"
	case Output:
		return "output"
	case Feature:
		return "feature"
	}
	return "unknown kind of"
}

// Usage is a usage with its page (HID Usage Tables).
type Usage struct {
	Page, ID uint16
}

// Descriptor is what a report descriptor (HID 1.11, 6.2.2) says of the sizes of
// a device's reports. It does not change after Parse.
//
// All lengths are in bytes and in Windows' layout, in which a report begins
// with its id: 0 for a device without ids, although the bus does not carry it
// then.
type Descriptor struct {
	// Collections are the usages of the top-level application collections.
	// Windows makes a device of each; a hidraw node is all of them.
	Collections []Usage

	// bits are the sizes of the reports without their id, by kind and id.
	// Those that have no bits are left out.
	bits [Kinds]map[uint8]int
	// longest is the length of the longest report of each kind.
	longest [Kinds]int
}

// TopLevel is the usage of the first top-level collection, zero if there is
// none: UsagePage and Usage of HIDP_CAPS.
func (d *Descriptor) TopLevel() Usage {
	if len(d.Collections) == 0 {
		return Usage{}
	}
	return d.Collections[0]
}

// ByteLength is the length of the longest report of kind k, and 0 if there is
// none: InputReportByteLength, OutputReportByteLength and
// FeatureReportByteLength of HIDP_CAPS (hidpi.h).
func (d *Descriptor) ByteLength(k Kind) int { return d.longest[k] }

// UsesIDs reports whether reports of kind k carry an id on the bus. As in
// Linux, each kind is asked for itself: the specification says that all carry
// one as soon as one does, Windows refuses a device that mixes, and there are
// devices that mix.
func (d *Descriptor) UsesIDs(k Kind) bool {
	_, unnumbered := d.bits[k][0]
	return !unnumbered && len(d.bits[k]) > 0
}

// ReportLength is the length of one report, and false if there is none of this
// kind and id.
func (d *Descriptor) ReportLength(k Kind, id uint8) (int, bool) {
	bits, ok := d.bits[k][id]
	if !ok {
		return 0, false
	}
	return 1 + (bits+7)/8, true
}

// Only returns the id of the only report of kind k, and false if there are
// several or none.
func (d *Descriptor) Only(k Kind) (uint8, bool) {
	if len(d.bits[k]) != 1 {
		return 0, false
	}
	for id := range d.bits[k] {
		return id, true
	}
	return 0, false
}

// What a descriptor may ask for. The kernel's own limits (linux/hid.h) are no
// higher, so a device that it made a node of passes.
const (
	MaxDescriptor  = 4096      // bytes: HID_MAX_DESCRIPTOR_SIZE
	maxReportBits  = 16384 * 8 // of one report: HID_MAX_BUFFER_SIZE
	maxStack       = 64        // Push without Pop
	maxCollections = 256       // open at once
	maxTopLevel    = 256
)

// globals are the global items (6.2.2.7) that have to do with sizes and usages.
type globals struct {
	usagePage   uint16
	reportSize  uint32 // bits
	reportCount uint32
	reportID    uint8
}

// parser is the state of Parse: the item state table of 5.4.
type parser struct {
	d     *Descriptor
	g     globals
	stack []globals
	depth int // open collections

	// usage is the first usage since the last main item.
	usage    item
	hasUsage bool
}

// Parse parses a report descriptor. It tolerates what has no bearing
// on the sizes of reports: reserved tags, long items, data outside of any
// collection, usages of all sorts. The error says at which byte the descriptor
// is malformed or over a limit.
func Parse(b []byte) (*Descriptor, error) {
	if len(b) > MaxDescriptor {
		return nil, fmt.Errorf("report descriptor: %d bytes, more than %d", len(b), MaxDescriptor)
	}
	p := parser{d: &Descriptor{}}
	for k := range p.d.bits {
		p.d.bits[k] = map[uint8]int{}
	}
	for at := 0; at < len(b); {
		i, n, err := decodeItem(b[at:])
		if err == nil {
			err = p.item(i)
		}
		if err != nil {
			return nil, fmt.Errorf("report descriptor: at byte %d: %w", at, err)
		}
		at += n
	}
	if p.depth > 0 {
		return nil, fmt.Errorf("report descriptor: %d collections without End Collection", p.depth)
	}
	p.d.finish()
	return p.d, nil
}

// item takes one item.
func (p *parser) item(i item) error {
	switch i.kind {
	case mainItem:
		err := p.main(i)
		p.hasUsage = false // local items end with the main item
		return err
	case globalItem:
		return p.global(i)
	case localItem:
		p.local(i)
	}
	return nil // reserved, or a long item
}

func (p *parser) main(i item) error {
	switch i.tag {
	case tagInput:
		return p.data(Input)
	case tagOutput:
		return p.data(Output)
	case tagFeature:
		return p.data(Feature)
	case tagCollection:
		const application = 1
		if p.depth == 0 && i.value == application {
			if len(p.d.Collections) == maxTopLevel {
				return fmt.Errorf("more than %d top-level collections", maxTopLevel)
			}
			p.d.Collections = append(p.d.Collections, p.fullUsage())
		}
		if p.depth++; p.depth > maxCollections {
			return fmt.Errorf("more than %d collections inside each other", maxCollections)
		}
	case tagEndCollection:
		if p.depth == 0 {
			return fmt.Errorf("item End Collection without a collection")
		}
		p.depth--
	}
	return nil
}

// data adds one data field to its report.
func (p *parser) data(k Kind) error {
	// The product of two 32-bit numbers fits.
	bits := uint64(p.d.bits[k][p.g.reportID]) + uint64(p.g.reportSize)*uint64(p.g.reportCount)
	if bits > maxReportBits {
		return fmt.Errorf("%v report %d has %d bits, more than %d", k, p.g.reportID, bits, maxReportBits)
	}
	if bits > 0 {
		p.d.bits[k][p.g.reportID] = int(bits)
	}
	return nil
}

func (p *parser) global(i item) error {
	switch i.tag {
	case tagUsagePage:
		p.g.usagePage = uint16(i.value)
	case tagReportSize:
		p.g.reportSize = i.value
	case tagReportCount:
		p.g.reportCount = i.value
	case tagReportID:
		if i.value == 0 || i.value > 0xFF {
			return fmt.Errorf("report id %d", i.value)
		}
		p.g.reportID = uint8(i.value)
	case tagPush:
		if len(p.stack) == maxStack {
			return fmt.Errorf("more than %d Push without Pop", maxStack)
		}
		p.stack = append(p.stack, p.g)
	case tagPop:
		if len(p.stack) == 0 {
			return fmt.Errorf("item Pop without Push")
		}
		p.g = p.stack[len(p.stack)-1]
		p.stack = p.stack[:len(p.stack)-1]
	}
	return nil
}

func (p *parser) local(i item) {
	// Of several usages the first is a collection's; inside delimiters it is
	// the preferred one (6.2.2.8).
	if !p.hasUsage && (i.tag == tagUsage || i.tag == tagUsageMinimum) {
		p.usage, p.hasUsage = i, true
	}
}

// fullUsage is the usage of a main item. A usage of four bytes has its page
// with it; a shorter one is of the page that stands when the main item comes
// (6.2.2.8).
func (p *parser) fullUsage() Usage {
	switch {
	case !p.hasUsage:
		return Usage{}
	case p.usage.size == 4:
		return Usage{Page: uint16(p.usage.value >> 16), ID: uint16(p.usage.value)}
	}
	return Usage{Page: p.g.usagePage, ID: uint16(p.usage.value)}
}

// finish computes what follows from the sizes of the fields.
func (d *Descriptor) finish() {
	for k := range Kind(Kinds) {
		if len(d.bits[k]) > 1 {
			// Where others have ids, a report without one cannot be
			// told from them.
			delete(d.bits[k], 0)
		}
		for id := range d.bits[k] {
			n, _ := d.ReportLength(k, id)
			d.longest[k] = max(d.longest[k], n)
		}
	}
}
