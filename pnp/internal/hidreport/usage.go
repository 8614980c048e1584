// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"cmp"
	"slices"
)

// Usage is a usage and its page (HID Usage Tables).
type Usage struct {
	Page, ID uint16
}

// Range is the usages from First to Last of one page.
type Range struct {
	Page, First, Last uint16
}

// Meets reports whether a usage is in both ranges.
func (r Range) Meets(o Range) bool {
	return r.Page == o.Page && r.First <= o.Last && o.First <= r.Last
}

// locals are the usages since the last main item (6.2.2.8). Delimiters need no state:
// the alternatives between them are usages like others, of which the first is
// preferred.
type locals struct {
	spans  []span
	minima []span // without a maximum so far
}

// linuxMaxUsages is Linux's HID_MAX_USAGES, the usages of one main item.
const linuxMaxUsages = 12288

// span is a Usage, or a Usage Minimum with its Usage Maximum.
type span struct {
	first, last item
	page        uint16 // the usage page at the item
}

func (l *locals) item(i item, page uint16) {
	switch i.tag {
	case tagUsage:
		l.spans = append(l.spans, span{i, i, page})
	case tagUsageMinimum:
		l.minima = append(l.minima, span{i, i, page})
	case tagUsageMaximum:
		first := item{} // Linux begins at 0 without a minimum
		if n := len(l.minima); n > 0 {
			first, l.minima = l.minima[n-1].first, l.minima[:n-1]
		}
		l.spans = append(l.spans, span{first, i, page})
	}
}

// end ends the list before a main item. Linux ignores a minimum without a maximum;
// Wine, like Windows, takes it for a usage.
func (l *locals) end() { l.spans, l.minima = append(l.spans, l.minima...), nil }

// usage is the usage of a collection: the first. A usage of four bytes includes its
// page. A shorter one has the page in force at the main item, and in Wine so does
// one whose page is 0.
func (l *locals) usage(page uint16) Usage {
	if len(l.spans) == 0 {
		return Usage{}
	}
	first := l.spans[0].first
	return Usage{cmp.Or(first.page(), page), uint16(first.value)}
}

// all returns every usage that some system finds in the list, except for the undefined
// page 0. Systems differ in the page of a short usage: in the specification it is
// the page in force at the main item. Linux keeps the page in force at the usage if
// a later usage has the last page; older versions always keep it.
func (l *locals) all(page uint16) []Range {
	var ranges []Range
	for _, s := range l.spans {
		first, last := uint16(s.first.value), uint16(s.last.value)
		p, q := s.first.page(), s.last.page()
		// Linux counts up to the last usage, or until its table is full. If the last
		// usage has a page of its own, it counts on into the next page.
		if s.last.size == 4 && (q != p || last < first) && int(first)+linuxMaxUsages > 0xFFFF && p < 0xFFFF {
			ranges = append(ranges, Range{p + 1, 0, linuxMaxUsages})
		}
		if s.last.value < s.first.value || last < first {
			last = 0xFFFF // Linux compares the pages, too
		}
		pages := []uint16{page, s.page, p, q}
		switch {
		case p == 0 || q == 0:
		case p == q:
			pages = []uint16{p}
		default: // the range spans two pages
			pages, first, last = []uint16{p, q}, 0, 0xFFFF
		}
		for n, p := range pages {
			if p != 0 && !slices.Contains(pages[:n], p) {
				ranges = append(ranges, Range{p, first, last})
			}
		}
	}
	return ranges
}

// page is the page in a usage of four bytes; 0 in a shorter one.
func (i item) page() uint16 {
	if i.size != 4 {
		return 0
	}
	return uint16(i.value >> 16)
}
