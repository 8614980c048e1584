// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"fmt"

	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
)

// The first kind in the table that serves a device is used.
func ExampleTable_Serving() {
	table := backend.Table{
		{Name: "serial", Serves: func(d *discover.Device) bool { return d.Subsystem == "tty" }},
		{Name: "any", Serves: func(*discover.Device) bool { return true }},
	}
	fmt.Println(table.Serving(&discover.Device{Subsystem: "tty"}).Name)
	fmt.Println(table.Serving(&discover.Device{Subsystem: "hidraw"}).Name)
	// Output:
	// serial
	// any
}
