// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"time"

	"freerdp-pnpdr/pnp"
)

// Session is what a device may know of the session that it is redirected in.
type Session struct {
	pnp.Session
	Host Host
	// Shares are what the user wants listed beside the drives.
	Shares []Share
	Since  time.Time
}

// Host is what the RDP client knows about the session; "" for what it does not know.
type Host struct {
	User, Domain string
	Client       string // host name of this machine
	Server       string // host name of the server
	Drives       []Share
	Printers     []Printer

	// Major and Minor are the version of FreeRDP, if that is the client. Account returns
	// the name of this machine's user, and may wait for a directory service; it may be nil.
	Major, Minor int
	Account      func() string
}

// Share is a folder with the name that it has for the server.
type Share struct{ Name, Path string }

// Printer is a printer that the client redirects.
type Printer struct{ Name, Driver string }
