// SPDX-License-Identifier: Apache-2.0

// Package backend holds what the backends share: what a kind of device is, and what
// a device is made from. The backends are the packages below it, one for each
// kind; package kinds is the table of them.
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

// Source is what a backend makes a device from.
type Source struct {
	// Path is the argument of the option: where the device's node is, unless
	// the kind has no nodes. The node need not exist until the device is
	// opened.
	Path string
	// Found is what discovery knows of the device; nil if discovery has not
	// found it.
	Found *discover.Device
	// Description is what the server is told.
	Description pnp.Description
	// ReadOnly refuses whatever changes the device, whatever the node's
	// permissions are.
	ReadOnly bool
	// Verify, if it is set, has the last word on each node that is opened: a
	// path can come to lead to another device than the one that was allowed.
	Verify func(devnode.ID) error
	// Log receives what has no request to be answered with; nil for nowhere.
	Log *slog.Logger
}

// Logger returns the logger of a device with a path, which is never nil. The
// error says that the path is missing.
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
