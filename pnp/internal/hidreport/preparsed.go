// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrLayout is the error of Preparsed for a descriptor with something in it of which it
// is not publicly known how Windows lays it out.
var ErrLayout = errors.New("it is not known how Windows lays this out")

func noLayout(of string, args ...any) error {
	return fmt.Errorf(of+": %w", append(args, ErrLayout)...)
}

// Preparsed returns the preparsed data (HIDP_PREPARSED_DATA) of a top-level collection,
// numbered from 0: what hidclass.sys makes of the descriptor, and the functions HidP_*
// read. Microsoft does not document the layout. hidapi and Wine do, and hidapi has
// collected what Windows makes of many devices. What these leave open is ErrLayout,
// because programs would misread reports if it were wrong.
func Preparsed(descriptor []byte, collection int) ([]byte, error) {
	if _, err := Parse(descriptor); err != nil {
		return nil, err
	}
	p := preparser{top: -1, wanted: collection}
	for at := 0; at < len(descriptor); {
		i, n, err := decodeItem(descriptor[at:])
		if err == nil {
			err = p.item(i)
		}
		if err != nil {
			return nil, fmt.Errorf("preparsed data: at byte %d: %w", at, err)
		}
		at += n
	}
	if len(p.nodes) == 0 {
		return nil, fmt.Errorf("preparsed data: there is no top-level collection %d", collection)
	}
	var lengths [Kinds]int
	for k := range lengths {
		lengths[k] = (slices.Max(p.bits[k][:]) + 7) / 8
	}
	return p.encode(lengths)
}

// preparser is the state of Preparsed.
type preparser struct {
	top, wanted int // numbers of top-level collections; top is the current or last one

	g     fullGlobals
	stack []fullGlobals
	l     fullLocals

	// The rest is of the collection wanted, except for open and owner.
	open  []int // of the open collections, the numbers in nodes
	nodes []linkNode
	caps  [Kinds][]capability
	// empty counts the capabilities that Windows has room for but does not fill in.
	empty [Kinds]int
	// index is the next data index.
	index [Kinds]int
	// bits is where the next field of a report begins, the id included; 0 before the
	// first.
	bits [Kinds][256]int
	// owner is the top-level collection that a report id belongs to, from 1.
	owner [256]int
}

// fullGlobals are all global items (6.2.2.7).
type fullGlobals struct {
	globals
	logicalMin, logicalMax, physicalMin, physicalMax int32
	unitExponent                                     int32
	unit                                             uint32
}

// fullLocals are the local items (6.2.2.8) since the last main item.
type fullLocals struct {
	usages           []usageItem
	minimum          *usageItem // a Usage Minimum that waits for its Usage Maximum
	designator, text uint16     // indices; 0 for none
}

// usageItem is a usage, or a range of them.
type usageItem struct {
	Range
	isRange bool
	// short says that the item had no page, so that page is the one then in force.
	short bool
}

// linkNode is a HIDP_LINK_COLLECTION_NODE (hidpi.h).
type linkNode struct {
	usage                         Usage
	parent, children, next, first int
	kind                          uint8
}

// capability is a HIDP_BUTTON_CAPS or HIDP_VALUE_CAPS (hidpi.h).
type capability struct {
	usageItem
	fullGlobals
	bit, count       int
	field            uint32
	link             int
	more             bool // further usages of an array follow
	designator, text uint16
	index            int
}

// The bits of an Input, Output or Feature item (6.2.2.5).
const (
	fieldConstant = 1 << iota
	fieldVariable
	fieldRelative
	_
	_
	_
	fieldNull
	_
	fieldBuffered
)

func (c *capability) button() bool {
	return c.field&fieldVariable == 0 || c.reportSize == 1
}

func (p *preparser) item(i item) error {
	switch i.kind {
	case mainItem:
		if p.l.minimum != nil {
			return noLayout("item Usage Minimum without Usage Maximum")
		}
		for _, u := range p.l.usages {
			if u.short && u.Page != p.g.usagePage {
				return noLayout("item Usage Page after a usage")
			}
		}
		err := p.main(i)
		p.l = fullLocals{}
		return err
	case globalItem:
		return p.global(i)
	case localItem:
		return p.local(i)
	}
	return noLayout("a reserved or a long item")
}

func (p *preparser) main(i item) error {
	switch i.tag {
	case tagInput:
		return p.data(Input, i.value)
	case tagOutput:
		return p.data(Output, i.value)
	case tagFeature:
		return p.data(Feature, i.value)
	case tagCollection:
		return p.collection(i)
	case tagEndCollection:
		p.open = p.open[:len(p.open)-1]
		return nil
	}
	return noLayout("a reserved main item")
}

func (p *preparser) collection(i item) error {
	if len(p.open) == 0 {
		p.top++
	}
	parent, number := 0, 0
	if len(p.open) > 0 {
		parent = p.open[len(p.open)-1]
	}
	if p.top == p.wanted {
		number = len(p.nodes)
		n := linkNode{usage: Usage{Page: p.g.usagePage}, parent: parent, kind: uint8(i.value)}
		switch {
		case len(p.l.usages) > 1, len(p.l.usages) == 1 && p.l.usages[0].isRange:
			return noLayout("a collection with several usages")
		case len(p.l.usages) == 1:
			n.usage = Usage{p.l.usages[0].Page, p.l.usages[0].First}
		}
		if number > 0 { // the last child comes first
			above := &p.nodes[parent]
			n.next, above.first = above.first, number
			above.children++
		}
		p.nodes = append(p.nodes, n)
	}
	p.open = append(p.open, number)
	return nil
}

// data adds the capabilities of one main item.
func (p *preparser) data(k Kind, field uint32) error {
	if len(p.open) == 0 {
		return noLayout("a field outside of collections")
	}
	switch owner := &p.owner[p.g.reportID]; {
	case *owner == 0:
		*owner = p.top + 1
	case *owner != p.top+1:
		return noLayout("report %d in several top-level collections", p.g.reportID)
	}
	if p.g.reportID != 0 && p.owner[0] != 0 {
		return noLayout("reports with an id and without")
	}
	if p.top != p.wanted {
		return nil
	}
	at := p.bits[k][p.g.reportID]
	if at == 0 {
		at = 8
	}
	bits := int(p.g.reportSize) * int(p.g.reportCount) // Parse has bounded it
	p.bits[k][p.g.reportID] = at + bits
	switch {
	case bits == 0:
		return noLayout("a field of no bits")
	case p.g.reportSize > math.MaxUint16 || p.g.reportCount > math.MaxUint16 || bits > math.MaxUint16:
		return noLayout("a field of %d bits", bits)
	}
	return p.field(k, field, at)
}

// field adds the capabilities of a field that begins at bit at of its report.
func (p *preparser) field(k Kind, field uint32, at int) error {
	usages, count := p.l.usages, int(p.g.reportCount)
	variable := field&fieldVariable != 0
	switch {
	case field&fieldBuffered != 0:
		return noLayout("a field of buffered bytes")
	case field&fieldNull != 0 && variable && p.g.reportSize == 1:
		return noLayout("a button with a null state")
	case len(usages) == 0 && field&fieldConstant != 0:
		return nil // padding
	case len(usages) == 0:
		return noLayout("data without a usage")
	case field&fieldConstant != 0 && (len(usages) > 1 || usages[0].isRange):
		return noLayout("constants with several usages")
	case field == fieldConstant, field == fieldConstant|fieldVariable && usages[0].First == 0:
		p.empty[k]++
		return nil
	case field&fieldConstant != 0 && (field <= fieldConstant|fieldVariable || !variable || usages[0].First == 0):
		return noLayout("constants with a usage and other flags")
	case len(usages) > 1 && (p.l.text != 0 || p.l.designator != 0):
		return noLayout("several usages with a string or designator")
	}
	for _, u := range usages {
		n := int(u.Last) - int(u.First) + 1
		switch {
		case u.isRange && (len(usages) > 1 || n <= 1):
			return noLayout("a range of usages beside others, or of one or none")
		case u.isRange && (p.l.text != 0 || p.l.designator != 0):
			return noLayout("a range of usages with a string or designator")
		case u.isRange && variable && (n > count || n < count && p.g.reportSize != 1):
			return noLayout("%d usages for %d values", n, count)
		}
	}
	if variable && len(usages) > count {
		return noLayout("%d usages for %d values", len(usages), count)
	}
	// The last usage comes first. It has all fields that are left.
	for n := len(usages) - 1; n >= 0; n-- {
		c := capability{
			usageItem: usages[n], fullGlobals: p.g, bit: at, count: count, field: field,
			link: p.open[len(p.open)-1], text: p.l.text, designator: p.l.designator,
		}
		if variable {
			if c.bit += n * int(p.g.reportSize); n == len(usages)-1 {
				c.count = count - n
			} else {
				c.count = 1
			}
			c.index = p.index[k]
		} else {
			// An array has its indices in the order of the usages.
			c.more, c.index = n > 0, p.index[k]+n
		}
		if variable {
			p.index[k] += int(c.Last) - int(c.First) + 1
		}
		p.caps[k] = append(p.caps[k], c)
	}
	if !variable {
		p.index[k] += len(usages) - 1 + int(usages[0].Last) - int(usages[0].First) + 1
	}
	return nil
}

func (p *preparser) global(i item) error {
	switch i.tag {
	case tagUsagePage:
		p.g.usagePage = uint16(i.value)
	case tagLogicalMinimum:
		p.g.logicalMin = i.signed()
	case tagLogicalMaximum:
		p.g.logicalMax = i.signed()
	case tagPhysicalMinimum:
		p.g.physicalMin = i.signed()
	case tagPhysicalMaximum:
		p.g.physicalMax = i.signed()
	case tagUnitExponent:
		p.g.unitExponent = i.signed()
	case tagUnit:
		p.g.unit = i.value
	case tagReportSize:
		p.g.reportSize = i.value
	case tagReportCount:
		p.g.reportCount = i.value
	case tagReportID:
		p.g.reportID = uint8(i.value)
	case tagPush:
		p.stack = append(p.stack, p.g)
	case tagPop:
		p.g = p.stack[len(p.stack)-1]
		p.stack = p.stack[:len(p.stack)-1]
	default:
		return noLayout("a reserved global item")
	}
	return nil
}

func (p *preparser) local(i item) error {
	u := usageItem{Range: Range{i.page(), uint16(i.value), uint16(i.value)}}
	if u.Page == 0 {
		u.Page, u.short = p.g.usagePage, true
	}
	switch i.tag {
	case tagUsage:
		p.l.usages = append(p.l.usages, u)
	case tagUsageMinimum:
		if p.l.minimum != nil {
			return noLayout("item Usage Minimum twice")
		}
		p.l.minimum = &u
	case tagUsageMaximum:
		if p.l.minimum == nil || p.l.minimum.Page != u.Page || p.l.minimum.short != u.short {
			return noLayout("item Usage Maximum without its Usage Minimum")
		}
		u.First, u.isRange = p.l.minimum.First, true
		p.l.usages, p.l.minimum = append(p.l.usages, u), nil
	case tagDesignatorIndex:
		if p.l.designator != 0 || i.value > math.MaxUint16 {
			return noLayout("designators")
		}
		p.l.designator = uint16(i.value)
	case tagStringIndex:
		if p.l.text != 0 || i.value > math.MaxUint16 {
			return noLayout("strings")
		}
		p.l.text = uint16(i.value)
	default:
		return noLayout("ranges of strings or designators, or delimiters")
	}
	return nil
}
