// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"time"
)

// Uevent is a message of the kernel or of udev about a device.
type Uevent struct {
	// Udev is set if udev sent it, which it does after its rules were
	// applied.
	Udev bool
	// Action is "add", "remove", "change", "bind", "unbind", "move", …
	Action string
	// Path is the device's path below the root of sysfs, without a slash in
	// front, as in Device.Key.
	Path string
	// Subsystem is the device's.
	Subsystem string
	// OldPath is where a device was before it moved.
	OldPath string
	// Seq is the number of the kernel's message. udev passes it on.
	Seq uint64
}

// ErrLost is what a Source returns when it could not keep all messages.
var ErrLost = errors.New("discover: messages were lost")

// Source delivers messages in the order in which they were sent.
type Source interface {
	// Receive returns the messages that have come. If there is none it waits
	// for one, but no longer than wait; a negative wait is for ever. The
	// error is ErrLost when messages are missing after those that are
	// returned; the source goes on. Any other error ends it.
	Receive(wait time.Duration) ([]Uevent, error)
	// Close makes Receive return an error, also one that is waiting.
	Close() error
}
