// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// nodes are the nodes that this process has open. Share modes and the settings of a
// terminal belong to the node and hold for the whole process: two devices can have
// one path, two paths can lead to one node, and two sessions can run in one process.
var nodes = registry{open: make(map[key]*shared)}

type registry struct {
	mu   sync.Mutex
	open map[key]*shared
}

// key identifies a node, whatever path leads to it: a device by its number, a file by
// its inode.
type key struct {
	kind     uint32
	dev, ino uint64
}

// shared is the state that all opens of a node share.
type shared struct {
	grants   []*Grant
	closing  []*Grant
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

// of returns the state of the node k, and makes it if there is none. mu is held.
func (g *registry) of(k key) *shared {
	s := g.open[k]
	if s == nil {
		s = new(shared)
		g.open[k] = s
	}
	return s
}

// tidy removes the state of a node that nobody has open. mu is held.
func (g *registry) tidy(k key) {
	if s := g.open[k]; s != nil && len(s.grants)+len(s.closing) == 0 && s.terminal == nil && s.claim == nil {
		delete(g.open, k)
	}
}

// Grant is an open of a node with its share mode.
type Grant struct {
	key         key
	part        int
	read, write bool
	share       uint32

	limit    time.Duration // how long AwaitClose waits for released
	released chan struct{} // closed by Release; nil before Closing
}

// Share registers an open of the node, with the access that was granted and the share
// mode of its request. It fails with ERROR_SHARING_VIOLATION if another open in this
// process does not share the access of this one, or the other way round.
//
// The access that was granted counts, not the one that was asked for: Windows always
// asks for reading and writing, and two applications that read a read-only device
// must not fail because neither shares writing (C-38). An open with neither never
// conflicts: Windows ignores the share mode of a handle that only looks at
// attributes. Neither do opens of different parts of the node, which are different devices
// on Windows.
func (n *Node) Share(share uint32) (*Grant, error) {
	g := &Grant{key: n.key(), part: n.Part, read: n.Read, write: n.Write, share: share}
	if !n.Read && !n.Write {
		return g, nil
	}
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.of(g.key)
	defer nodes.tidy(g.key)
	for _, o := range s.grants {
		if g.meets(o) && (!g.allowedBy(o) || !o.allowedBy(g)) {
			return nil, pnp.ERROR_SHARING_VIOLATION
		}
	}
	s.grants = append(s.grants, g)
	return g, nil
}

// meets reports whether both are about the same part of the node, or one about the whole.
func (g *Grant) meets(o *Grant) bool { return g.part == 0 || o.part == 0 || g.part == o.part }

// allowedBy reports whether o shares the access of g.
func (g *Grant) allowedBy(o *Grant) bool {
	return (!g.read || o.share&pnp.FILE_SHARE_READ != 0) &&
		(!g.write || o.share&pnp.FILE_SHARE_WRITE != 0)
}

// Closing gives the share mode up. If the node is exclusive, another open may still
// fail until the node is closed: AwaitClose waits for Release, for at most limit.
func (g *Grant) Closing(limit time.Duration) {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	g.limit, g.released = limit, make(chan struct{})
	s := nodes.of(g.key)
	s.grants = slices.DeleteFunc(s.grants, g.is)
	s.closing = append(s.closing, g)
}

// Release ends what Share and Closing began. Further calls do nothing.
func (g *Grant) Release() {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.open[g.key]
	if s == nil {
		return
	}
	if slices.Contains(s.closing, g) {
		close(g.released)
	}
	s.grants, s.closing = slices.DeleteFunc(s.grants, g.is), slices.DeleteFunc(s.closing, g.is)
	nodes.tidy(g.key)
}

func (g *Grant) is(o *Grant) bool { return o == g }

// closing returns the opens of a node that are being closed.
func (g *registry) closing(k key) []*Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.open[k]; s != nil {
		return slices.Clone(s.closing)
	}
	return nil
}
