// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"container/list"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"

	"freerdp-pnpdr/pnp/present/ptp"
)

// maxNames is how many names of a device stay in memory, those of all its folders together.
var maxNames = ptp.MaxObjects

// names bounds what the folders of a device remember. One that has forgotten asks again.
type names struct {
	mu      sync.Mutex
	folders list.List // of remembered; the one that was listed last is last
	places  map[*directory]*list.Element
	total   int
}

type remembered struct {
	folder *directory
	count  int // of names, with the folder's own
}

// keep notes that a folder remembers count names. Those that were listed longest ago forget
// theirs, if all are too many. The caller has the folder's turn.
func (n *names) keep(d *directory, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.places == nil {
		n.places = make(map[*directory]*list.Element)
	}
	n.drop(n.places[d])
	n.places[d] = n.folders.PushBack(remembered{d, count + 1})
	n.total += count + 1
	for n.total > maxNames && n.folders.Len() > 1 {
		oldest := n.folders.Front()
		n.drop(oldest)
		// One that is being listed will be here again.
		if f := oldest.Value.(remembered).folder; f.asking.try() {
			f.was = nil
			f.asking.give()
		}
	}
}

func (n *names) drop(e *list.Element) {
	if e == nil {
		return
	}
	r := n.folders.Remove(e).(remembered)
	delete(n.places, r.folder)
	n.total -= r.count
}

// fileName makes a name that a folder can hold of what the device says, which may be
// anything.
func fileName(name, instead string) string {
	name = strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' || r == 0x7F || r == utf8.RuneError {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	const longest = 240 // room for a number, below 255 bytes
	for len(name) > longest {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	if name == "" || name == "." || name == ".." {
		return instead
	}
	return name
}

// namer gives names that are distinct.
type namer struct {
	taken map[string]bool
	next  map[string]int // the number to try for a name that is taken
}

// name returns a name, with a number if it is taken.
func (n *namer) name(want string) string {
	if n.taken == nil {
		n.taken, n.next = make(map[string]bool), make(map[string]int)
	}
	name, extension := want, filepath.Ext(want)
	for n.taken[name] {
		n.next[want] = max(n.next[want]+1, 2)
		name = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(want, extension), n.next[want], extension)
	}
	n.taken[name] = true
	return name
}
