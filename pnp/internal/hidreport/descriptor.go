// SPDX-License-Identifier: Apache-2.0

// Package hidreport parses HID report descriptors: a device's collections, their
// usages, and the lengths of its reports. It also makes Windows' preparsed data of them.
// It does no I/O, and the length of the descriptor bounds its memory and time. Discovery and the HID backend both use it,
// so that they agree.
//
// "Linux" in comments means drivers/hid/hid-core.c and hid-input.c.
package hidreport

import (
	"errors"
	"fmt"
)

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

// CollectionType is the type of a collection (6.2.2.6).
type CollectionType uint8

// The types of collections that matter here.
const (
	Physical    CollectionType = 0
	Application CollectionType = 1
)

// Collection is one collection of a descriptor.
type Collection struct {
	Type CollectionType
	// Depth is 0 for a top-level collection.
	Depth int
	// Usage is the collection's usage; zero if it has none.
	Usage Usage
	// Usages are the usages that any operating system finds, since they read
	// some descriptors differently. Usages of the undefined page 0 are left
	// out.
	Usages []Range
}

// Descriptor is a parsed report descriptor (HID 1.11, 6.2.2). It does not change.
//
// Lengths are in bytes and in Windows' layout, in which every report begins with an
// id: 0 for a device without ids, which does not send it.
type Descriptor struct {
	// Collections are in the order of the descriptor.
	Collections []Collection
	// Inputs are the usages of all input fields but constants, with the
	// differences of Collection.Usages.
	Inputs []Range

	// reports are the bits of reports without their id, by kind and id. Empty reports
	// are left out.
	reports [Kinds]map[uint8]int
	// longest is the length of the longest report of each kind.
	longest  [Kinds]int
	separate bool
}

// TopLevel returns the usages of the top-level collections. Windows makes a device
// of each, whatever its type; see Separate. A hidraw node has all of them.
func (d *Descriptor) TopLevel() []Usage {
	var usages []Usage
	for _, c := range d.Collections {
		if c.Depth == 0 {
			usages = append(usages, c.Usage)
		}
	}
	return usages
}

// ByteLength is the length of the longest report of kind k, 0 if there are none: with one
// top-level collection, InputReportByteLength, OutputReportByteLength or
// FeatureReportByteLength of HIDP_CAPS (hidpi.h).
func (d *Descriptor) ByteLength(k Kind) int { return d.longest[k] }

// UsesIDs reports whether reports of kind k carry an id on the bus. As in Linux, the
// kinds can differ: the specification says that all reports carry one if any does,
// and Windows refuses other devices, but they exist.
func (d *Descriptor) UsesIDs(k Kind) bool {
	_, unnumbered := d.reports[k][0]
	return !unnumbered && len(d.reports[k]) > 0
}

// ReportLength is the length of a report. It returns false if there is no report of
// this kind and id.
func (d *Descriptor) ReportLength(k Kind, id uint8) (int, bool) {
	bits, ok := d.reports[k][id]
	if !ok {
		return 0, false
	}
	return 1 + (bits+7)/8, true
}

// Only returns the id of the only report of kind k. It returns false if there are
// several or none.
func (d *Descriptor) Only(k Kind) (uint8, bool) {
	if len(d.reports[k]) != 1 {
		return 0, false
	}
	for id := range d.reports[k] {
		return id, true
	}
	return 0, false
}

// MaxDescriptor is the greatest length of a descriptor, Linux's
// HID_MAX_DESCRIPTOR_SIZE.
const MaxDescriptor = 4096

// maxReportBits is Linux's HID_MAX_BUFFER_SIZE, for one report.
const maxReportBits = 16384 * 8

// globals are the global items (6.2.2.7) that affect sizes and usages.
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
	top   int // top-level collections so far
	local locals

	owners owners
}

// Parse parses a report descriptor. It accepts what Linux accepts, and more that
// does not affect usages and sizes of reports: reserved tags, long items, unpaired
// delimiters, data outside of collections. The error says at which byte the
// descriptor is malformed or exceeds a limit.
func Parse(b []byte) (*Descriptor, error) {
	switch {
	case len(b) == 0:
		return nil, errors.New("report descriptor: it is empty")
	case len(b) > MaxDescriptor:
		return nil, fmt.Errorf("report descriptor: %d bytes, more than %d", len(b), MaxDescriptor)
	}
	p := parser{d: &Descriptor{}}
	for k := range p.d.reports {
		p.d.reports[k] = map[uint8]int{}
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
	p.d.separate = p.owners.apart(p.top)
	return p.d, nil
}

// item processes one item.
func (p *parser) item(i item) error {
	switch i.kind {
	case mainItem:
		p.local.end()
		err := p.main(i)
		p.local = locals{}
		return err
	case globalItem:
		return p.global(i)
	case localItem:
		p.local.item(i, p.g.usagePage)
	}
	return nil // reserved, or a long item
}

func (p *parser) main(i item) error {
	switch i.tag {
	case tagInput:
		const constant = 1
		if i.value&constant == 0 {
			p.d.Inputs = append(p.d.Inputs, p.local.all(p.g.usagePage)...)
		}
		return p.data(Input)
	case tagOutput:
		return p.data(Output)
	case tagFeature:
		return p.data(Feature)
	case tagCollection:
		p.d.Collections = append(p.d.Collections, Collection{
			Type: CollectionType(i.value), Depth: p.depth,
			Usage: p.local.usage(p.g.usagePage), Usages: p.local.all(p.g.usagePage),
		})
		if p.depth == 0 {
			p.top++
		}
		p.depth++
	case tagEndCollection:
		if p.depth == 0 {
			return errors.New("item End Collection without a collection")
		}
		p.depth--
	}
	return nil
}

// data adds one data field to its report.
func (p *parser) data(k Kind) error {
	top := 0
	if p.depth > 0 {
		top = p.top
	}
	p.owners.add(p.g.reportID, top)
	// The product of two 32-bit numbers fits.
	bits := uint64(p.d.reports[k][p.g.reportID]) + uint64(p.g.reportSize)*uint64(p.g.reportCount)
	if bits > maxReportBits {
		return fmt.Errorf("%v report %d has %d bits, more than %d", k, p.g.reportID, bits, maxReportBits)
	}
	if bits > 0 {
		p.d.reports[k][p.g.reportID] = int(bits)
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
		p.stack = append(p.stack, p.g)
	case tagPop:
		if len(p.stack) == 0 {
			return errors.New("item Pop without Push")
		}
		p.g = p.stack[len(p.stack)-1]
		p.stack = p.stack[:len(p.stack)-1]
	}
	return nil
}

// finish computes the lengths once all fields are known.
func (d *Descriptor) finish() {
	for k := range Kind(Kinds) {
		if len(d.reports[k]) > 1 {
			// If others have ids, a report without one cannot be
			// distinguished from them.
			delete(d.reports[k], 0)
		}
		for id := range d.reports[k] {
			n, _ := d.ReportLength(k, id)
			d.longest[k] = max(d.longest[k], n)
		}
	}
}
