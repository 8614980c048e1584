// SPDX-License-Identifier: Apache-2.0

package pnp

import "time"

// Session is what a device may know of the session that it is redirected in, and do to
// it. Its methods may be called from any goroutine, and do not block.
type Session interface {
	// State returns what is redirected and open at this moment.
	State() SessionState

	// EndHandle ends an open handle for good: its requests fail as they do when the
	// device is removed. It returns false if there is no such handle.
	EndHandle(id uint32) bool
}

// SessionState is the state of a session, consistent in itself.
type SessionState struct {
	Devices []SessionDevice // by rising ID
	Handles []SessionHandle // by rising ID

	Opens         uint32    // handles opened so far
	Read, Written uint64    // bytes that the server has read and written so far
	Active        time.Time // when the last request came; zero if none did
}

// SessionDevice is a device that is redirected.
type SessionDevice struct {
	ID          uint32 // counts up from 1 and is not used again
	Kind        string // name of the kind of device; "" if it is not known
	Description *Description
	Since       time.Time
}

// SessionHandle is an open handle of a device.
type SessionHandle struct {
	ID     uint32 // that of its OpenRequest; counts up from 1 and is not used again
	Device uint32
	Access uint32 // the access mask that was asked for
}
