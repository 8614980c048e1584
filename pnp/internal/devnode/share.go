// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// nodes is what this process has open, by node. Share modes and the settings of
// a terminal belong to the node, whoever opened it: two devices can be named by
// one path, two paths lead to one node, two sessions run in one process.
var nodes = registry{open: make(map[key]*shared)}

type registry struct {
	mu   sync.Mutex
	open map[key]*shared
}

// key tells nodes apart: a device by its number, whatever path leads to it, and
// a file by its inode.
type key struct {
	kind     uint32
	dev, ino uint64
}

// shared is what all opens of one node share.
type shared struct {
	grants   []*Grant
	terminal *Terminal
	claim    *Claim
}

func keyOf(id ID) key {
	switch id.Mode {
	case unix.S_IFCHR, unix.S_IFBLK:
		return key{id.Mode, id.Rdev, 0}
	default:
		return key{id.Mode, id.Dev, id.Ino}
	}
}

func (n *Node) key() key { return keyOf(identity(&n.Stat)) }

// of returns what is shared at k, new if nothing is. mu is held.
func (g *registry) of(k key) *shared {
	s := g.open[k]
	if s == nil {
		s = new(shared)
		g.open[k] = s
	}
	return s
}

// tidy forgets a node that nobody has open. mu is held.
func (g *registry) tidy(k key) {
	if s := g.open[k]; s != nil && len(s.grants) == 0 && s.terminal == nil && s.claim == nil {
		delete(g.open, k)
	}
}

// Grant is one open of a node, by its share mode.
type Grant struct {
	key         key
	read, write bool
	share       uint32
}

// Share enters an open of the node, with the access that was granted and the
// share mode of its request. It fails with ERROR_SHARING_VIOLATION if another
// open in this process does not share what this one does, or this one does not
// share what that one does.
//
// What counts is what was granted, not what was asked for: Windows always asks
// for reading and writing, and a read-only device that two applications read
// must not fail because neither shares writing (C-38). An open that was granted
// neither conflicts with nothing, as on Windows, where the share mode of a
// handle that only looks at attributes is not considered.
func (n *Node) Share(share uint32) (*Grant, error) {
	g := &Grant{key: n.key(), read: n.Read, write: n.Write, share: share}
	if !n.Read && !n.Write {
		return g, nil
	}
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.of(g.key)
	defer nodes.tidy(g.key)
	for _, o := range s.grants {
		if !g.allowedBy(o) || !o.allowedBy(g) {
			return nil, pnp.ERROR_SHARING_VIOLATION
		}
	}
	s.grants = append(s.grants, g)
	return g, nil
}

// allowedBy reports whether o shares what g does.
func (g *Grant) allowedBy(o *Grant) bool {
	return (!g.read || o.share&pnp.FILE_SHARE_READ != 0) &&
		(!g.write || o.share&pnp.FILE_SHARE_WRITE != 0)
}

// Release takes the open out again. Further calls do nothing.
func (g *Grant) Release() {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	if s := nodes.open[g.key]; s != nil {
		s.grants = slices.DeleteFunc(s.grants, func(o *Grant) bool { return o == g })
		nodes.tidy(g.key)
	}
}
