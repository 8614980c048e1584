// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"fmt"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// newDevice makes the device of a kind.
func newDevice(k kind, src backend.Source) (pnp.Device, error) {
	switch k {
	case kindLoopback:
		if src.ReadOnly {
			return nil, fmt.Errorf("loopback cannot be read-only")
		}
		return loopback.New(src.Description), nil
	case kindFile:
		return file.New(src)
	case kindChar:
		return char.New(src)
	case kindSerial:
		return serial.New(src)
	case kindHID:
		return hid.New(src)
	}
	return nil, fmt.Errorf("there is no backend %q", k)
}

// judged returns what verifies that a device is opened only as the node that was
// decided on. again judges a node that can become another device while it stays
// the same: a loop device, a volume. It is nil for others.
func judged(node devnode.ID, again func() error) func(devnode.ID) error {
	return func(opened devnode.ID) error {
		switch {
		case opened.Mode == unix.S_IFREG && node.Mode == unix.S_IFREG:
			return nil // it may be replaced by another file: no rule speaks of those
		case opened != node:
			return fmt.Errorf("the path leads to another node than the one that was allowed: %w", pnp.ERROR_ACCESS_DENIED)
		case again != nil:
			return again()
		}
		return nil
	}
}
