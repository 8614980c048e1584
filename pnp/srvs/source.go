// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"errors"
	"time"
)

// A Source is what a Server tells of, and may end. Its methods are called by many
// goroutines at once and return at once: no call waits for a device or a peer.
type Source interface {
	// Snapshot returns what is redirected and open at this moment. The caller may
	// keep the slices but does not write to them.
	Snapshot() Snapshot

	// CloseFile ends an open handle for good, as the removal of its device would.
	// It returns ErrFileNotFound if no handle has that number any more.
	CloseFile(id uint32) error
}

// ErrFileNotFound is what Source.CloseFile returns for a handle that is not open.
var ErrFileNotFound = errors.New("no such open file")

// A Snapshot is the state of one session, consistent in itself.
type Snapshot struct {
	Session    Session
	Shares     []Share // by rising ID, without IPC$
	Files      []File  // by rising ID
	Statistics Statistics
}

// A Session is the RDP session that the shares belong to.
type Session struct {
	Client string    // host name of the RDP server, which is the client here, without \\
	User   string    // name of the session's user
	Since  time.Time // when the session began
	Active time.Time // when the last request came, of any handle
}

// Share types ([MS-SRVS] 2.2.2.4).
const (
	TypeDisk      = 0 // STYPE_DISKTREE
	TypePrinter   = 1 // STYPE_PRINTQ
	TypeDevice    = 2 // STYPE_DEVICE
	TypeIPC       = 3 // STYPE_IPC
	TypeTemporary = 0x40000000
	TypeSpecial   = 0x80000000
)

// A Share is a drive, printer or device that is redirected. IPC$ is the Server's own.
type Share struct {
	// ID counts shares up from 1 in the order in which they came and is never used
	// again in a session: an enumeration that goes on later continues behind it.
	ID uint32

	// Name is unique without regard to case and valid, as ShareName makes it.
	Name   string
	Type   uint32    // TypeDisk, TypePrinter or TypeDevice
	Remark string    // cut to 48 characters
	Since  time.Time // when it was redirected

	// Dir is the directory of a TypeDisk on this machine. It is used for file
	// security and is not sent.
	Dir string
}

// A File is an open handle of a device, or of a pipe.
type File struct {
	ID     uint32 // counts up from 1 and is never used again in a session
	Name   string // that of its Share, or of the pipe
	Pipe   bool   // it is a pipe, which belongs to IPC$
	Access uint32 // the access mask that it was opened with
}

// Statistics counts since the Server's start.
type Statistics struct {
	Opens        uint32 // handles opened, pipes included
	BytesRead    uint64 // by the peer, from devices
	BytesWritten uint64 // by the peer, to devices
}
