// SPDX-License-Identifier: Apache-2.0

package file

import (
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/backend/internal/stuck"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// TestSuiteOnHungFileSystem uses a file system that never answers a read or a write,
// as a network file system does when its server is gone. Cancel and Close complete
// every request all the same.
func TestSuiteOnHungFileSystem(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{New: hungInstance})
}

// TestStuckSession runs sessions on such a file system.
func TestStuckSession(t *testing.T) { stuck.Run(t, hungInstance) }

func hungInstance(t *testing.T) acceptance.Instance {
	var hung fusetest.HungDriver
	fs := fusetest.Mount(t, hung.Serve)
	return acceptance.Instance{
		Device:  device(t, fs.Path, false),
		Unstick: hung.Unstick,
		Blocking: []acceptance.Template{
			{Name: "read", Op: pnp.OpRead, Len: 512},
			{Name: "write", Op: pnp.OpWrite, Len: 512},
		},
	}
}
