// SPDX-License-Identifier: Apache-2.0

// Package devnode holds what it means to open a device in Windows' terms: which
// of the access asked for is granted, and whether it agrees with the share
// modes of the handles that are open already. The backends whose devices are
// nodes of the file system share it.
package devnode

import (
	"slices"
	"sync"

	"freerdp-pnpdr/pnp"
)

// Table holds the opens of one device. The zero value is a device that nobody
// has open. Its methods may be called from any goroutine.
type Table struct {
	mu    sync.Mutex
	opens []*Grant
}

// Grant is one open in a Table.
type Grant struct {
	table       *Table
	read, write bool
	share       uint32
}

// Open enters an open that was granted reading and writing as given, with the
// share mode of its request. It fails with ERROR_SHARING_VIOLATION if an open
// that is in the table does not share what this one does, or this one does not
// share what that one does.
//
// What counts is what was granted, not what was asked for: Windows always asks
// for reading and writing, and a read-only device that two applications read
// shall not fail because neither shares writing (C-38). An open that was
// granted neither conflicts with nothing, as on Windows, where the share mode
// of a handle that only looks at attributes is not considered.
func (t *Table) Open(read, write bool, share uint32) (*Grant, error) {
	g := &Grant{table: t, read: read, write: write, share: share}
	if !read && !write {
		return g, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.opens {
		if !g.allowedBy(o) || !o.allowedBy(g) {
			return nil, pnp.ERROR_SHARING_VIOLATION
		}
	}
	t.opens = append(t.opens, g)
	return g, nil
}

// allowedBy reports whether o shares what g does.
func (g *Grant) allowedBy(o *Grant) bool {
	return (!g.read || o.share&pnp.FILE_SHARE_READ != 0) &&
		(!g.write || o.share&pnp.FILE_SHARE_WRITE != 0)
}

// Release takes the open out of its table. Further calls do nothing.
func (g *Grant) Release() {
	g.table.mu.Lock()
	defer g.table.mu.Unlock()
	g.table.opens = slices.DeleteFunc(g.table.opens, func(o *Grant) bool { return o == g })
}
