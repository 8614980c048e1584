// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"time"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// Uevent is a message of the kernel or of udev about a device.
type Uevent struct {
	// Udev is set if udev sent it, after it had run its rules.
	Udev bool
	// Action is "add", "remove", "change", "bind", "unbind", "move", …
	Action string
	// Path is the device's path below the root of sysfs, without a leading
	// slash, as in Device.Key.
	Path string
	// Subsystem is the device's subsystem.
	Subsystem string
	// Number is the number of the device's node, as "188:0"; "" if it has none.
	Number string
	// OldPath is the path that a device had before it moved.
	OldPath string
	// Seq is the kernel's sequence number. udev passes it on.
	Seq uint64
}

// IsAbout reports whether the message is about the device that a node of this number
// belongs to.
func (e Uevent) IsAbout(id devnode.ID) bool {
	n := number(id)
	return n.Kind != "" && (e.Subsystem == "block") == (n.Kind == "block") && e.Number == n.String()
}

// ErrLost is returned by a Source that could not keep all messages.
var ErrLost = errors.New("discover: messages were lost")

// Source delivers messages in the order in which they were sent.
type Source interface {
	// Receive returns the messages that have arrived. If there are none it
	// waits for one, for at most wait, or without a limit if wait is negative.
	// ErrLost means that messages are missing after the returned ones; the
	// source still works. After any other error it does not.
	Receive(wait time.Duration) ([]Uevent, error)
	// Close makes Receive return an error, even while it waits.
	Close() error
}
