// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The part of the protocol of /dev/cuse that a terminal needs (linux/fuse.h). Numbers are
// in the machine's byte order.
var order = binary.NativeEndian

const (
	opOpen      = 14
	opRead      = 15
	opWrite     = 16
	opRelease   = 18
	opInterrupt = 36
	opIoctl     = 39
	opPoll      = 40
	opInit      = 4096 // CUSE_INIT
)

const (
	major = 7
	// minor is the version of the protocol: ioctls with iovecs of 64 bits came with
	// 16, and nothing that came later is used.
	minor = 23

	unrestrictedIoctl = 1 << 0 // CUSE_UNRESTRICTED_IOCTL
	ioctlRetry        = 1 << 2 // FUSE_IOCTL_RETRY
	scheduleNotify    = 1 << 0 // FUSE_POLL_SCHEDULE_NOTIFY
	// notifyPoll takes the place of a reply's error.
	notifyPoll = 1

	// maxTransfer bounds one read or write of a program. Longer ones are split.
	maxTransfer = 64 << 10
	maxMessage  = maxTransfer + 4096
)

// inHeader is struct fuse_in_header.
type inHeader struct {
	Len, Opcode   uint32
	Unique, Node  uint64
	UID, GID, PID uint32
	_             uint32
}

// outHeader is struct fuse_out_header.
type outHeader struct {
	Len    uint32
	Error  int32
	Unique uint64
}

// initOut is struct cuse_init_out, which the name of the node follows.
type initOut struct {
	Major, Minor, _, Flags uint32
	MaxRead, MaxWrite      uint32
	DevMajor, DevMinor     uint32
	_                      [10]uint32
}

// openIn is struct fuse_open_in.
type openIn struct{ Flags, _ uint32 }

// openOut is struct fuse_open_out.
type openOut struct {
	FH    uint64
	Flags uint32
	_     uint32
}

// transferIn is struct fuse_read_in, and struct fuse_write_in, which the data follows.
type transferIn struct {
	FH, Offset uint64
	Size, _    uint32
	_          uint64
	Flags, _   uint32
}

// writeOut is struct fuse_write_out.
type writeOut struct{ Size, _ uint32 }

// releaseIn is struct fuse_release_in.
type releaseIn struct {
	FH   uint64
	_, _ uint32
	_    uint64
}

// interruptIn is struct fuse_interrupt_in.
type interruptIn struct{ Unique uint64 }

// ioctlIn is struct fuse_ioctl_in, which the input follows.
type ioctlIn struct {
	FH              uint64
	Flags, Cmd      uint32
	Arg             uint64
	InSize, OutSize uint32
}

// ioctlOut is struct fuse_ioctl_out. Data, or struct fuse_ioctl_iovec, follow.
type ioctlOut struct {
	Result          int32
	Flags           uint32
	InIovs, OutIovs uint32
}

// iovec is struct fuse_ioctl_iovec.
type iovec struct{ Base, Len uint64 }

// pollIn is struct fuse_poll_in.
type pollIn struct {
	FH, KH        uint64
	Flags, Events uint32
}

// pollOut is struct fuse_poll_out.
type pollOut struct{ Events, _ uint32 }

// split decodes a structure at the start of b and returns the rest.
func split[T any](b []byte) (v T, rest []byte, err error) {
	n, err := binary.Decode(b, order, &v)
	if err != nil {
		return v, nil, unix.EPROTO
	}
	return v, b[n:], nil
}

// appendTo encodes a structure.
func appendTo(b []byte, v any) []byte {
	b, err := binary.Append(b, order, v)
	if err != nil {
		panic(err) // not a structure of fixed size
	}
	return b
}
