// SPDX-License-Identifier: Apache-2.0

package wire

// Length returns the length in bytes of the message that b begins with, for
// transports that do not keep messages apart. It is 0 if b is too short to tell; it
// may be more than len(b). Bytes that do not begin a message of this direction are
// an error.
//
// dir is InfoToServer or IOToServer. A reply does not say what it answers:
// requestOf returns the kind of the request with this id, or KindUnknown if no such
// request was sent.
func Length(b []byte, dir Direction, requestOf func(RequestID) Kind) (uint64, error) {
	switch dir {
	case InfoToServer:
		return infoLength(b, dir)
	case IOToServer:
		return packetLength(b, requestOf)
	}
	panic("wire: no lengths for " + dir.String())
}

func infoLength(b []byte, dir Direction) (uint64, error) {
	if len(b) < infoHeader.size {
		return 0, nil
	}
	size, id := le.Uint32(b), le.Uint32(b[4:])
	k := infoKinds.find(id)
	if k == KindUnknown {
		return 0, infoHeader.errorf("PacketId 0x%08X is unknown", id)
	}
	r := &table[k]
	if r.dirs&dir == 0 {
		return 0, r.errorf("sent in the wrong direction")
	}
	if size < uint32(r.size) || r.exact && size != uint32(r.size) {
		return 0, r.errorf("Size %d", size)
	}
	return uint64(size), nil
}

func packetLength(b []byte, requestOf func(RequestID) Kind) (uint64, error) {
	if len(b) < clientHeader.size {
		return 0, nil
	}
	id := requestIDOf(b)
	k := packetKinds.find(uint32(b[3]))
	switch k {
	case KindUnknown:
		return 0, clientHeader.errorf("PacketType 0x%02X is unknown", b[3])
	case KindReply:
		request := requestOf(id)
		if k = replyKinds.find(uint32(request)); k == KindUnknown {
			return 0, clientHeader.errorf("a reply with RequestId %d, which no outstanding request has", id)
		}
	}
	r := &table[k]
	if r.exact {
		return uint64(r.size), nil
	}
	// The others end with a count, that many bytes and an UnusedByte.
	count := r.size - 5
	if len(b) < count+4 {
		return 0, nil
	}
	return uint64(r.size) + uint64(le.Uint32(b[count:])), nil
}
