// SPDX-License-Identifier: Apache-2.0

// Package backend defines a kind of device (Kind) and the input that its constructor
// takes (Source). The backends are the packages below, one for each kind; package
// kinds has the table.
package backend

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// Source is the input that a backend makes a device from.
type Source struct {
	// Path is the argument of the option: where the device's node is, unless
	// the kind has no nodes. The node need not exist until the device is
	// opened.
	Path string
	// Found is the result of discovery; nil if discovery has not found the
	// device.
	Found *discover.Device
	// Collection is the number of the HID device's top-level collection, from 1, that
	// the device is; 0 if it is the whole.
	Collection int
	// Description is sent to the server.
	Description pnp.Description
	// ReadOnly refuses operations that change the device, even if the node's
	// permissions allow them.
	ReadOnly bool
	// IOControls are the ioctls that the server may use, for a kind that passes some on.
	IOControls []IOControl
	// Verify, if not nil, checks each node that was opened: the path can lead to
	// another device than the one that was allowed.
	Verify func(devnode.ID) error
	// Describe returns what the server is told about a device that describes itself:
	// its own description with what the user's settings say. It is set for kinds with
	// Attend.
	Describe func(pnp.Description) pnp.Description
	// Owner checks whose process is at the other end of a socket, by its user id. It is
	// set for kinds with Attend.
	Owner func(uid uint32) error
	// Session is the session that the device is redirected in; nil if there is none.
	Session *Session
	// Log receives problems that no request reports; nil for nowhere.
	Log *slog.Logger
}

// Logger returns the logger of a device with a path; it is never nil. It fails if
// the path is missing.
func (s *Source) Logger() (*slog.Logger, error) {
	if s.Path == "" {
		return nil, fmt.Errorf("device %q has no path", s.Description.Name)
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return log.With("path", s.Path), nil
}

// OpenNode opens the device's node as the request says, with as much of the access
// as can be granted; see devnode.OpenNode. It looks at the path, which may wait, so
// NoBlock is never granted. Nothing is created: of the dispositions CREATE_NEW
// fails, and to truncate is left to the caller.
func (s *Source) OpenNode(r pnp.OpenRequest) (devnode.Node, error) {
	if err := devnode.CheckOpen(s.Path, r); err != nil {
		return devnode.Node{}, err
	}
	n, err := devnode.OpenNode(s.Path, r, s.ReadOnly, s.Verify)
	if err == nil && r.Disposition == pnp.CREATE_NEW {
		unix.Close(n.FD)
		return devnode.Node{}, fmt.Errorf("open %s: %w", s.Path, pnp.ERROR_FILE_EXISTS)
	}
	return n, err
}
