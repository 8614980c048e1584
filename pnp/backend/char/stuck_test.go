// SPDX-License-Identifier: Apache-2.0

package char

import (
	"testing"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/backend/internal/stuck"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// fromUserSpace is a device whose driver is the test. It is a FUSE file, since not
// every kernel has CUSE.
type fromUserSpace struct {
	*Device
	class class
}

func (d fromUserSpace) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	return d.Device.open(r, unix.S_IFREG, func(devnode.Node) class { return d.class })
}

// TestStuckSession runs sessions with a driver that never answers: one that can be
// polled, always says that it is ready and ignores O_NONBLOCK, as usbtmc does, and
// one that cannot be polled.
func TestStuckSession(t *testing.T) {
	for name, class := range map[string]class{"IgnoresNonblock": pollable, "CannotBePolled": blocking} {
		t.Run(name, func(t *testing.T) {
			stuck.Run(t, func(t *testing.T) acceptance.Instance {
				var hung fusetest.HungDriver
				fs := fusetest.Mount(t, hung.Serve)
				return acceptance.Instance{
					Device:   fromUserSpace{device(t, fs.Path, false), class},
					Unstick:  hung.Unstick,
					Blocking: []acceptance.Template{{Name: "read", Op: pnp.OpRead, Len: 64}},
				}
			})
		})
	}
}
