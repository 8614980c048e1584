// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"errors"
	"fmt"
)

// Separate reports whether Windows would make several devices of the descriptor, one of
// each top-level collection: there are several, each has a report, and the id of a report
// says which one it belongs to. So there is no report without an id, none outside of
// collections and none in two of them. Windows refuses other descriptors with several
// (HIDP_GETCOLDESC_NO_REPORT_ID, _DEFAULT_ID_ERROR and _INVALID_MAIN_ITEM of hidpddi.h);
// Linux takes them, and there they are one device.
func (d *Descriptor) Separate() bool { return d.separate }

// owners are the top-level collections of a descriptor's reports.
type owners struct {
	of    [256]int // by report id; the first is 1
	mixed bool     // a report has no id, no collection or several
}

// add notes a field of the report with this id.
func (o *owners) add(id uint8, top int) {
	o.mixed = o.mixed || id == 0 || top == 0 || o.of[id] != 0 && o.of[id] != top
	o.of[id] = top
}

// apart reports whether each of n top-level collections has reports of its own.
func (o *owners) apart(n int) bool {
	has := map[int]bool{}
	for _, top := range o.of {
		if top != 0 {
			has[top] = true
		}
	}
	return n > 1 && !o.mixed && len(has) == n
}

// Extract returns a descriptor of one top-level collection, numbered from 0, of a
// descriptor that is Separate. All the items of the collection are there. Of what comes
// before, the global items are: they are what the collection's items build on, and Push and
// Pop stay in pairs. So the result is not longer than the whole, and every reader of
// descriptors reads the collection as it does in the whole.
func Extract(descriptor []byte, collection int) ([]byte, error) {
	d, err := Parse(descriptor)
	switch {
	case err != nil:
		return nil, err
	case !d.separate:
		return nil, errors.New("report descriptor: its top-level collections are not devices of their own")
	}
	// all are the items since the last main item, in order, and globals those of them that
	// every collection shares.
	var out, all, globals []byte
	top, depth := -1, 0
	for at := 0; at < len(descriptor); {
		i, n, err := decodeItem(descriptor[at:])
		if err != nil {
			return nil, err // Parse would have failed
		}
		all = append(all, descriptor[at:at+n]...)
		if i.kind == globalItem {
			globals = append(globals, descriptor[at:at+n]...)
		}
		at += n
		if i.kind != mainItem {
			continue
		}
		if i.tag == tagCollection {
			if depth == 0 {
				top++
			}
			depth++
		}
		if wanted := top == collection && depth > 0; wanted {
			out = append(out, all...)
		} else {
			out = append(out, globals...)
		}
		all, globals = nil, nil
		if i.tag == tagEndCollection {
			if depth--; depth == 0 && top == collection {
				return out, nil
			}
		}
	}
	return nil, fmt.Errorf("report descriptor: there is no top-level collection %d", collection)
}
