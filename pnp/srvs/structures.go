// SPDX-License-Identifier: Apache-2.0

package srvs

import "freerdp-pnpdr/pnp/srvs/ndr"

// An arm is one level of a structure: its description, and its size without what
// its pointers point to.
type arm[T any] struct {
	size int
	code func(*ndr.Coder, *T)
}

// arms are the levels of a union. A T holds the members of all of them.
type arms[T any] map[uint32]arm[T]

// A container is what an enumeration returns, or ignores in a request.
type container[T any] struct{ entries []T }

// An enumStruct is an ENUM_STRUCT: a level and a union of containers.
type enumStruct[T any] struct {
	level     uint32
	container *container[T] // nil is a null pointer
}

func (e *enumStruct[T]) code(c *ndr.Coder, arms arms[T]) {
	c.Construct(func() {
		c.Uint32(&e.level)
		c.Tag(e.level)
		arm, ok := arms[e.level]
		if !ok {
			e.container = nil
			return
		}
		ndr.Pointer(c, &e.container, func(k *container[T]) {
			n := uint32(len(k.entries))
			c.Uint32(&n)
			ndr.SizedArray(c, &k.entries, &n, arm.size, func(x *T) { arm.code(c, x) })
		})
	})
}

// codeUnion codes a union of pointers, whose tag repeats level. A level that is not
// among arms has no pointer.
func codeUnion[T any](c *ndr.Coder, level uint32, p **T, arms arms[T]) {
	c.Construct(func() {
		c.Tag(level)
		arm, ok := arms[level]
		if !ok {
			*p = nil
			return
		}
		ndr.Pointer(c, p, func(x *T) { arm.code(c, x) })
	})
}

// connectionInfo is CONNECTION_INFO_0 and 1 (2.2.4.1, 2.2.4.2).
type connectionInfo struct {
	id, kind, opens, users, seconds uint32
	user, netname                   text
}

var connectionArms = arms[connectionInfo]{
	0: {4, func(c *ndr.Coder, x *connectionInfo) { c.Uint32(&x.id) }},
	1: {28, func(c *ndr.Coder, x *connectionInfo) {
		longs(c, &x.id, &x.kind, &x.opens, &x.users, &x.seconds)
		c.UniqueString(&x.user)
		c.UniqueString(&x.netname)
	}},
}

// fileInfo is FILE_INFO_2 and 3 (2.2.4.6, 2.2.4.7).
type fileInfo struct {
	id, permissions, locks uint32
	path, user             text
}

var fileArms = arms[fileInfo]{
	2: {4, func(c *ndr.Coder, x *fileInfo) { c.Uint32(&x.id) }},
	3: {20, func(c *ndr.Coder, x *fileInfo) {
		longs(c, &x.id, &x.permissions, &x.locks)
		c.UniqueString(&x.path)
		c.UniqueString(&x.user)
	}},
}

// sessionInfo is SESSION_INFO_0 to 502 (2.2.4.11 to 2.2.4.15).
type sessionInfo struct {
	client, user          text
	opens, seconds, idle  uint32
	flags                 uint32
	clientType, transport text
}

var sessionArms = arms[sessionInfo]{
	0: {4, func(c *ndr.Coder, x *sessionInfo) { c.UniqueString(&x.client) }},
	1: {24, codeSession1},
	2: {28, codeSession2},
	10: {16, func(c *ndr.Coder, x *sessionInfo) {
		c.UniqueString(&x.client)
		c.UniqueString(&x.user)
		longs(c, &x.seconds, &x.idle)
	}},
	502: {32, func(c *ndr.Coder, x *sessionInfo) {
		codeSession2(c, x)
		c.UniqueString(&x.transport)
	}},
}

func codeSession1(c *ndr.Coder, x *sessionInfo) {
	c.UniqueString(&x.client)
	c.UniqueString(&x.user)
	longs(c, &x.opens, &x.seconds, &x.idle, &x.flags)
}

func codeSession2(c *ndr.Coder, x *sessionInfo) {
	codeSession1(c, x)
	c.UniqueString(&x.clientType)
}

// shareInfo is SHARE_INFO_0 to 1501 (2.2.4.22 to 2.2.4.31).
type shareInfo struct {
	name                   text
	kind                   uint32
	remark                 text
	permissions            uint32
	maxUses, uses          uint32
	path, password, server text
	flags                  uint32
	descriptorSize         uint32
	descriptor             []byte
}

var shareArms = arms[shareInfo]{
	0: {4, func(c *ndr.Coder, x *shareInfo) { c.UniqueString(&x.name) }},
	1: {12, codeShare1},
	2: {32, codeShare2},
	501: {16, func(c *ndr.Coder, x *shareInfo) {
		codeShare1(c, x)
		c.Uint32(&x.flags)
	}},
	502: {40, func(c *ndr.Coder, x *shareInfo) {
		codeShare2(c, x)
		codeShare1501(c, x)
	}},
	503: {44, func(c *ndr.Coder, x *shareInfo) {
		codeShare2(c, x)
		c.UniqueString(&x.server)
		codeShare1501(c, x)
	}},
	1004: {4, func(c *ndr.Coder, x *shareInfo) { c.UniqueString(&x.remark) }},
	1005: {4, func(c *ndr.Coder, x *shareInfo) { c.Uint32(&x.flags) }},
	1006: {4, func(c *ndr.Coder, x *shareInfo) { c.Uint32(&x.maxUses) }},
	1501: {8, codeShare1501},
}

// shareEnumArms are those that SHARE_ENUM_UNION has (2.2.3.5).
var shareEnumArms = only(shareArms, 0, 1, 2, 501, 502, 503)

func codeShare1(c *ndr.Coder, x *shareInfo) {
	c.UniqueString(&x.name)
	c.Uint32(&x.kind)
	c.UniqueString(&x.remark)
}

func codeShare2(c *ndr.Coder, x *shareInfo) {
	codeShare1(c, x)
	longs(c, &x.permissions, &x.maxUses, &x.uses)
	c.UniqueString(&x.path)
	c.UniqueString(&x.password)
}

func codeShare1501(c *ndr.Coder, x *shareInfo) {
	c.Uint32(&x.descriptorSize)
	c.SizedOctets(&x.descriptor, &x.descriptorSize)
}

// transportInfo is SERVER_TRANSPORT_INFO_0 to 3 (2.2.4.93 to 2.2.4.96).
type transportInfo struct {
	circuits       uint32
	name           text
	address        []byte
	addressSize    uint32
	networkAddress text
	domain         text
	flags          uint32
	passwordSize   uint32
	password       [256]byte
}

var transportArms = arms[transportInfo]{
	0: {20, codeTransport0},
	1: {24, codeTransport1},
	2: {28, codeTransport2},
	3: {288, func(c *ndr.Coder, x *transportInfo) {
		codeTransport2(c, x)
		c.Uint32(&x.passwordSize)
		c.Octets(x.password[:])
	}},
}

func codeTransport0(c *ndr.Coder, x *transportInfo) {
	c.Uint32(&x.circuits)
	c.UniqueString(&x.name)
	c.SizedOctets(&x.address, &x.addressSize)
	c.Uint32(&x.addressSize)
	c.UniqueString(&x.networkAddress)
}

func codeTransport1(c *ndr.Coder, x *transportInfo) {
	codeTransport0(c, x)
	c.UniqueString(&x.domain)
}

func codeTransport2(c *ndr.Coder, x *transportInfo) {
	codeTransport1(c, x)
	c.Uint32(&x.flags)
}

// aliasInfo is SERVER_ALIAS_INFO_0 (2.2.4.102).
type aliasInfo struct {
	alias, target text
	isDefault     uint8
	reserved      uint32
}

var aliasArms = arms[aliasInfo]{
	0: {16, func(c *ndr.Coder, x *aliasInfo) {
		c.UniqueString(&x.alias)
		c.UniqueString(&x.target)
		c.Uint8(&x.isDefault)
		c.Uint32(&x.reserved)
	}},
}

// longs codes a row of longs.
func longs(c *ndr.Coder, list ...*uint32) {
	for _, p := range list {
		c.Uint32(p)
	}
}

// only returns the arms of these levels.
func only[T any](all arms[T], levels ...uint32) arms[T] {
	some := make(arms[T])
	for _, level := range levels {
		some[level] = all[level]
	}
	return some
}
