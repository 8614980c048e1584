// SPDX-License-Identifier: Apache-2.0

// Package backend holds what the backends share: what a kind of device is, and what
// a device is made from. The backends are the packages below it, one for each
// kind; package kinds is the table of them.
package backend

import (
	"fmt"
	"io"
	"log/slog"

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

// OpenNode opens the device's node as devnode.OpenNode does.
func (s *Source) OpenNode(r pnp.OpenRequest) (devnode.Node, error) {
	return devnode.OpenNode(s.Path, r, s.ReadOnly, s.Verify)
}
