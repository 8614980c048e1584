// SPDX-License-Identifier: Apache-2.0

package fusetest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The part of the FUSE protocol that is used here (include/uapi/linux/fuse.h). Numbers
// are in the machine's byte order.
var order = binary.NativeEndian

// Op is the operation of a request.
type Op uint32

// The operations that a Handler receives.
const (
	Open      Op = 14
	Read      Op = 15
	Write     Op = 16
	Release   Op = 18
	Interrupt Op = 36
	Ioctl     Op = 39
	Poll      Op = 40
)

// The operations that the relay answers.
const (
	opLookup  Op = 1
	opForget  Op = 2
	opGetattr Op = 3
	opInit    Op = 26
	opForgets Op = 42 // FUSE_BATCH_FORGET
)

// How a file is opened (FOPEN_*).
const (
	DirectIO       = 1 << 0 // bypass the page cache
	NonSeekable    = 1 << 2
	Stream         = 1 << 4 // no position, so that reads do not wait for writes
	ParallelWrites = 1 << 6 // nor for each other
)

const (
	inHeader  = 40 // struct fuse_in_header
	outHeader = 16 // struct fuse_out_header
	// notifyPoll takes the place of a reply's error code.
	notifyPoll = 1
	maxWrite   = 1 << 16
	maxMessage = maxWrite + 4096

	rootNode, fileNode = 1, 2
)

// message returns a struct fuse_out_header followed by body.
func message(unique uint64, code int32, body []byte) []byte {
	b := order.AppendUint32(make([]byte, 0, outHeader+len(body)), uint32(outHeader+len(body)))
	b = order.AppendUint32(b, uint32(code))
	return append(order.AppendUint64(b, unique), body...)
}

// attributes appends a struct fuse_attr. Node rootNode is a directory in which every name
// leads to the same file of 1 MiB.
func attributes(b []byte, node uint64) []byte {
	mode, size := uint32(unix.S_IFREG|0o666), uint64(1<<20)
	if node == rootNode {
		mode, size = unix.S_IFDIR|0o755, 0
	}
	b = order.AppendUint64(order.AppendUint64(b, node), size)
	b = append(b, make([]byte, 8*4+4*3)...) // blocks and times
	b = order.AppendUint32(order.AppendUint32(b, mode), 1)
	return append(b, make([]byte, 4*5)...)
}

// initReply returns a struct fuse_init_out: protocol 7.31 without options.
func initReply() []byte {
	b := make([]byte, 64)
	order.PutUint32(b, 7)
	order.PutUint32(b[4:], 31)
	order.PutUint32(b[20:], maxWrite)
	return b
}
