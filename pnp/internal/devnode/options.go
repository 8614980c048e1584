// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"
	"io"
	"log/slog"

	"freerdp-pnpdr/pnp"
)

// Options are what a device at a path is made from beside the path.
type Options struct {
	// Description is what the server is told.
	Description pnp.Description
	// ReadOnly refuses whatever changes the device, whatever the node's
	// permissions are.
	ReadOnly bool
	// Log receives what has no request to be answered with; nil for nowhere.
	Log *slog.Logger
}

// Logger returns the logger of a device of a kind, which is never nil. The error
// says that there can be no such device. The path is not looked at: it need not
// exist until the device is opened.
func (o *Options) Logger(kind, path string) (*slog.Logger, error) {
	if path == "" {
		return nil, fmt.Errorf("%s %q: empty path", kind, o.Description.Name)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return log.With("path", path), nil
}

// CheckOpen says what is wrong with an open before the path is looked at, which
// may wait: so NoBlock is never granted.
func CheckOpen(path string, r pnp.OpenRequest) error {
	switch {
	case r.NoBlock:
		return pnp.ErrWouldBlock
	case r.Disposition < pnp.CREATE_NEW || r.Disposition > pnp.TRUNCATE_EXISTING:
		return fmt.Errorf("open %s: creation disposition %d: %w", path, r.Disposition, pnp.ERROR_INVALID_PARAMETER)
	}
	return nil
}
