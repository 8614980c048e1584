// SPDX-License-Identifier: Apache-2.0

package kinds_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/kinds"
)

// What a device becomes depends on what its client says about it.
func ExampleAll() {
	for _, d := range []pnp.Description{
		{Name: "Scale", Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT}},
		{Name: "Label printer", CompatibleIDs: []string{`USB\Class_07`}},
		{Name: "Something"},
	} {
		k := kinds.All().Serving(&d)
		fmt.Printf("%s: %s (%s)\n", d.Name, k.Name, k.Help)
	}
	// Output:
	// Scale: serial (a serial port: a terminal)
	// Label printer: printer (a printer: a file that takes what is to be printed)
	// Something: stream (any other device: a file without a position)
}
