// SPDX-License-Identifier: Apache-2.0

package srvs

import "freerdp-pnpdr/pnp/srvs/ndr"

// enumParams are the parameters that all enumerations have.
type enumParams[T any] struct {
	serverName text
	info       enumStruct[T]
	length     uint32  // PreferedMaximumLength
	total      uint32  // TotalEntries
	resume     *uint32 // ResumeHandle
}

// codeIn codes the parameters of a request behind the qualifiers.
func (p *enumParams[T]) codeIn(c *ndr.Coder, arms arms[T]) {
	p.info.code(c, arms)
	_, known := arms[p.info.level]
	codeTail(c, known, []func(){func() { skipContainer(c) }}, func() {
		c.Uint32(&p.length)
		c.UniqueUint32(&p.resume)
	})
}

// skipContainer decodes a pointer to a container without entries.
func skipContainer(c *ndr.Coder) {
	none := func(*struct{}) { c.Fail("an entry of a level that is not known") }
	c.Construct(func() {
		if !c.Unique(true, func() {
			var n uint32
			var list []struct{}
			c.Uint32(&n)
			ndr.SizedArray(c, &list, &n, 1, none)
		}) {
			c.Fail("no container")
		}
	})
}

// codeOut codes the parameters of a response.
func (p *enumParams[T]) codeOut(c *ndr.Coder, arms arms[T]) {
	p.info.code(c, arms)
	c.Uint32(&p.total)
	c.UniqueUint32(&p.resume)
}

// drop leaves an empty container.
func (p *enumParams[T]) drop() { p.info.container = &container[T]{} }

// level drops what the request had in its container, and tells whether the method
// has the level of the request.
func (p *enumParams[T]) level(allowed ...uint32) bool {
	p.info.container = nil
	for _, level := range allowed {
		if p.info.level == level {
			p.drop()
			return true
		}
	}
	return false
}

// An entry is an element of a list that is enumerated. Its number is its running
// number, which is greater than those before it.
type entry[T any] struct {
	number uint32
	info   T
}

// enumerate returns the entries behind the resume handle that fit into the
// preferred length. A handle is the running number of the last entry returned: it
// stays valid while entries come and go, and is its index in a list that has lost
// none.
func (p *enumParams[T]) enumerate(list []entry[T], arms arms[T]) uint32 {
	after := uint32(0)
	if p.resume != nil {
		after = *p.resume
	}
	for len(list) > 0 && list[0].number <= after && after != 0 {
		list = list[1:]
	}
	p.total = uint32(len(list))
	n := p.fitting(list, arms[p.info.level])
	if n == 0 && len(list) > 0 {
		return nerrBufTooSmall
	}
	if n > 0 {
		p.info.container.entries = make([]T, n)
	}
	for i, e := range list[:n] {
		p.info.container.entries[i] = e.info
	}
	resume, code := uint32(0), uint32(nerrSuccess)
	if n < len(list) {
		resume, code = list[n-1].number, errorMoreData
	}
	if p.resume != nil {
		*p.resume = resume
	}
	return code
}

// fitting returns how many entries fit. An entry counts with its members and what
// its pointers point to.
func (p *enumParams[T]) fitting(list []entry[T], arm arm[T]) int {
	if p.length == maxPreferredLength {
		return len(list)
	}
	left := uint64(p.length)
	for i := range list {
		c := ndr.NewEncoder()
		info := list[i].info
		c.Construct(func() { arm.code(c, &info) })
		size := uint64(arm.size + c.Data())
		if size > left {
			return i
		}
		left -= size
	}
	return len(list)
}
