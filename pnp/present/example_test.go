// SPDX-License-Identifier: Apache-2.0

package present_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// meter is a presenter: beside the files of every device, its folder gets a pipe.
type meter struct{ pipe string }

func (m meter) Close() { _ = os.Remove(m.pipe) }

// A table with a presenter of one's own. Package folder takes such a table.
func ExampleTable() {
	table := present.Table{
		{
			Name:   "meter",
			Help:   "a meter: a pipe that tells the temperature",
			Serves: func(d *pnp.Description) bool { return d.Name == "Meter" },
			Present: func(_ context.Context, d *present.Device) (present.Presentation, error) {
				m := meter{filepath.Join(d.Dir, "temperature")}
				return m, unix.Mkfifo(m.pipe, 0o600)
			},
		},
		{Name: "stream", Help: "any other device", Serves: func(*pnp.Description) bool { return true }},
	}
	for _, name := range []string{"Meter", "Scale"} {
		fmt.Println(name, "is a", table.Serving(&pnp.Description{Name: name}).Name)
	}
	// Output:
	// Meter is a meter
	// Scale is a stream
}

// What a client answers, and what a program is told.
func ExampleErrno() {
	for _, err := range []error{nil, pnp.ERROR_ACCESS_DENIED, pnp.ERROR_DEVICE_NOT_CONNECTED, context.Canceled} {
		fmt.Println(unix.ErrnoName(present.Errno(err)))
	}
	// Output:
	//
	// EACCES
	// ENODEV
	// EINTR
}
