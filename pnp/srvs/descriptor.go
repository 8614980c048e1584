// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Parts of a security descriptor that a client asks for ([MS-DTYP] 2.4.7).
const (
	infoOwner = 1
	infoGroup = 2
	infoDACL  = 4
	infoSACL  = 8
)

// Layout of a security descriptor ([MS-DTYP] 2.4.6).
const (
	descriptorSize    = 20
	controlDACL       = 0x0004
	controlSACL       = 0x0010
	controlRelative   = 0x8000
	aclHeaderSize     = 8
	aceHeaderSize     = 4
	sidHeaderSize     = 8
	maxSubAuthorities = 15
)

// Rights of a file that a Unix permission stands for: FILE_GENERIC_READ, _WRITE and
// _EXECUTE.
const (
	fileGenericRead    = 0x120089
	fileGenericWrite   = 0x120116
	fileGenericExecute = 0x1200A0
)

// sid returns a SID of revision 1.
func sid(authority byte, subAuthorities ...uint32) []byte {
	b := []byte{1, byte(len(subAuthorities)), 0, 0, 0, 0, 0, authority}
	for _, s := range subAuthorities {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return b
}

// descriptorOf returns a self-relative security descriptor of a file with the parts
// that are asked for: its owner and group as S-1-22-1 and S-1-22-2, as Samba has
// them, and a DACL that says what its mode does.
func descriptorOf(stat *unix.Stat_t, information uint32) []byte {
	owner, group, everyone := sid(22, 1, stat.Uid), sid(22, 2, stat.Gid), sid(1, 0)
	b := make([]byte, descriptorSize)
	control := uint16(controlRelative)
	part := func(at int, data []byte) {
		binary.LittleEndian.PutUint32(b[at:], uint32(len(b)))
		b = append(b, data...)
	}
	b[0] = 1
	if information&infoOwner != 0 {
		part(4, owner)
	}
	if information&infoGroup != 0 {
		part(8, group)
	}
	if information&infoDACL != 0 {
		control |= controlDACL
		acl := []byte{2, 0, 0, 0, 3, 0, 0, 0}
		for i, who := range [][]byte{owner, group, everyone} {
			acl = append(acl, 0, 0)
			acl = binary.LittleEndian.AppendUint16(acl, uint16(aceHeaderSize+4+len(who)))
			acl = binary.LittleEndian.AppendUint32(acl, rights(stat.Mode>>(6-3*i)))
			acl = append(acl, who...)
		}
		binary.LittleEndian.PutUint16(acl[2:], uint16(len(acl)))
		part(16, acl)
	}
	binary.LittleEndian.PutUint16(b[2:], control)
	return b
}

// rights returns what the lowest three bits of a mode grant.
func rights(mode uint32) (mask uint32) {
	if mode&4 != 0 {
		mask |= fileGenericRead
	}
	if mode&2 != 0 {
		mask |= fileGenericWrite
	}
	if mode&1 != 0 {
		mask |= fileGenericExecute
	}
	return mask
}

// validDescriptor tells whether b is a self-relative security descriptor all of
// whose parts lie within it.
func validDescriptor(b []byte) bool {
	if len(b) < descriptorSize || b[0] != 1 {
		return false
	}
	control := binary.LittleEndian.Uint16(b[2:])
	if control&controlRelative == 0 {
		return false
	}
	at := func(i int) (part []byte, present, ok bool) {
		offset := binary.LittleEndian.Uint32(b[i:])
		if offset == 0 {
			return nil, false, true
		}
		if offset < descriptorSize || int64(offset) > int64(len(b)) {
			return nil, true, false
		}
		return b[offset:], true, true
	}
	for _, i := range []int{4, 8} {
		if part, present, ok := at(i); !ok || present && sidLength(part) == 0 {
			return false
		}
	}
	for i, flag := range map[int]uint16{12: controlSACL, 16: controlDACL} {
		if part, present, ok := at(i); control&flag != 0 && (!ok || present && !validACL(part)) {
			return false
		}
	}
	return true
}

// sidLength returns the length of the SID that b begins with, or 0.
func sidLength(b []byte) int {
	if len(b) < sidHeaderSize || b[0] != 1 || b[1] > maxSubAuthorities {
		return 0
	}
	if n := sidHeaderSize + 4*int(b[1]); n <= len(b) {
		return n
	}
	return 0
}

// validACL tells whether b begins with an ACL whose entries lie within it.
func validACL(b []byte) bool {
	if len(b) < aclHeaderSize || b[0] != 2 && b[0] != 4 {
		return false
	}
	size, entries := int(binary.LittleEndian.Uint16(b[2:])), int(binary.LittleEndian.Uint16(b[4:]))
	if size < aclHeaderSize || size > len(b) {
		return false
	}
	rest := b[aclHeaderSize:size]
	for range entries {
		if len(rest) < aceHeaderSize {
			return false
		}
		n := int(binary.LittleEndian.Uint16(rest[2:]))
		if n < aceHeaderSize || n > len(rest) {
			return false
		}
		// The plain kinds, which allow, deny or audit, are a mask and a SID.
		if kind := rest[0]; kind <= 3 && (n < aceHeaderSize+4 || sidLength(rest[aceHeaderSize+4:n]) == 0) {
			return false
		}
		rest = rest[n:]
	}
	return true
}
