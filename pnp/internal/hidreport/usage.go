// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"cmp"
	"slices"
)

// Usage is a usage with its page (HID Usage Tables).
type Usage struct {
	Page, ID uint16
}

// Range is the usages First to Last of one page.
type Range struct {
	Page, First, Last uint16
}

// Meets reports whether a usage is in both ranges.
func (r Range) Meets(o Range) bool {
	return r.Page == o.Page && r.First <= o.Last && o.First <= r.Last
}

// locals are the usages since the last main item (6.2.2.8). Delimiters need no
// state: the alternatives between them are usages like others, and the first is
// the preferred one.
type locals struct {
	spans  []span
	minima []span // those without a maximum as yet
}

// span is a Usage, or a Usage Minimum with its Usage Maximum.
type span struct {
	first, last item
	page        uint16 // that was in force when the item came
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

// end ends the list before a main item. A minimum without a maximum is nothing
// to Linux, and a usage to Wine, which does as Windows does.
func (l *locals) end() { l.spans, l.minima = append(l.spans, l.minima...), nil }

// usage is the usage of a collection: the first. One of four bytes has its page
// with it. Of a shorter one the page is that in force at the main item; to Wine
// also of one whose page is 0.
func (l *locals) usage(page uint16) Usage {
	if len(l.spans) == 0 {
		return Usage{}
	}
	first := l.spans[0].first
	return Usage{cmp.Or(first.page(), page), uint16(first.value)}
}

// all returns every usage that some system takes from the list, but those of
// page 0, which is undefined. They differ in the page of a short usage: by the
// specification it is that in force at the main item. Linux keeps that in force
// at the usage if a later usage is of the last page; older versions always do.
func (l *locals) all(page uint16) []Range {
	var ranges []Range
	for _, s := range l.spans {
		first, last := uint16(s.first.value), uint16(s.last.value)
		pages := []uint16{page, s.page, s.first.page(), s.last.page()}
		switch p, q := s.first.page(), s.last.page(); {
		case p == 0 || q == 0:
		case p == q:
			pages = []uint16{p}
		default: // from one page into another
			pages, first, last = []uint16{p, q}, 0, 0xFFFF
		}
		if last < first {
			last = 0xFFFF // Linux goes upwards as far as it has room
		}
		for n, p := range pages {
			if p != 0 && !slices.Contains(pages[:n], p) {
				ranges = append(ranges, Range{p, first, last})
			}
		}
	}
	return ranges
}

// page is the page in a usage of four bytes, 0 if there is none.
func (i item) page() uint16 {
	if i.size != 4 {
		return 0
	}
	return uint16(i.value >> 16)
}
