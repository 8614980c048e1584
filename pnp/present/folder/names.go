// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"freerdp-pnpdr/pnp"
)

const (
	// maxName bounds a cleaned name, in bytes: with the folder before it, the path of
	// a socket has to fit into 107 bytes.
	maxName = 48

	// maxKnown is how many devices a Folder remembers.
	maxKnown = 1024
)

// Clean makes a file name of a device's name: at most 48 bytes of letters, digits and
// +-._@, which begins with neither a dot nor a hyphen. Whatever else there is in the
// name becomes underscores, and a name without a letter or digit "device".
func Clean(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range name {
		// Marks change the letter before them: there have to be some.
		ok := r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) && !gap && b.Len() > 0 ||
			strings.ContainsRune("+-._@", r))
		if !ok || b.Len() == 0 && strings.ContainsRune("+-._@", r) {
			gap = true
			continue
		}
		sep := 0
		if gap && b.Len() > 0 {
			sep = 1
		}
		if b.Len()+sep+utf8.RuneLen(r) > maxName {
			break
		}
		if sep == 1 {
			b.WriteByte('_')
		}
		b.WriteRune(r)
		gap = false
	}
	if b.Len() == 0 {
		return "device"
	}
	return b.String()
}

// identity tells devices apart, and recognizes one that returns. Two of the same make
// may share one.
type identity [sha256.Size]byte

func identify(d *pnp.Description) identity {
	text, _ := json.Marshal([]any{d.Name, d.HardwareIDs, d.CompatibleIDs, d.Interfaces, d.Container}) // cannot fail
	return sha256.Sum256(text)
}

// names gives each device a name that no other has, and the same one when it returns.
type names struct {
	known map[string]*known
	byID  map[identity][]*known // in the order in which they were made
	order list.List             // of *known, the one that was used last in front
}

// known is a name that a device has or had.
type known struct {
	name  string
	id    identity
	at    *list.Element
	taken bool
}

func (n *names) init() {
	n.known = make(map[string]*known)
	n.byID = make(map[identity][]*known)
}

// take returns a name that is not taken.
func (n *names) take(id identity, base string) *known {
	for _, k := range n.byID[id] {
		if !k.taken {
			return n.use(k)
		}
	}
	name := base
	for i := 2; n.known[name] != nil; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	k := &known{name: name, id: id}
	k.at = n.order.PushFront(k)
	n.known[name] = k
	n.byID[id] = append(n.byID[id], k)
	n.forget()
	return n.use(k)
}

func (n *names) use(k *known) *known {
	k.taken = true
	n.order.MoveToFront(k.at)
	return k
}

// release says that the device has gone.
func (n *names) release(k *known) {
	k.taken = false
	n.order.MoveToFront(k.at)
	n.forget()
}

// forget forgets the devices that have been away for longest, if there are too many.
func (n *names) forget() {
	for e := n.order.Back(); e != nil && n.order.Len() > maxKnown; {
		k := e.Value.(*known)
		e = e.Prev()
		if k.taken {
			continue
		}
		n.order.Remove(k.at)
		delete(n.known, k.name)
		rest := n.byID[k.id][:0]
		for _, other := range n.byID[k.id] {
			if other != k {
				rest = append(rest, other)
			}
		}
		if n.byID[k.id] = rest; len(rest) == 0 {
			delete(n.byID, k.id)
		}
	}
}
