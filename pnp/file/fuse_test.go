package file

import (
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/devtest/fusetest"
)

// TestSuiteOnHungFileSystem has a file system that never answers a read or a
// write, as a network file system does whose server is gone. Every request is
// completed all the same by Cancel and Close.
func TestSuiteOnHungFileSystem(t *testing.T) {
	devtest.Run(t, devtest.Fixture{New: func(t *testing.T) devtest.Instance {
		fs := fusetest.Mount(t, func(r *fusetest.Request) {
			if r.Op == fusetest.Open {
				r.Opened(fusetest.DirectIO)
			}
		})
		return devtest.Instance{
			Device: device(t, fs.Path, false),
			Blocking: []devtest.Template{
				{Name: "read", Op: pnp.OpRead, Len: 512},
				{Name: "write", Op: pnp.OpWrite, Len: 512},
			},
		}
	}})
}
