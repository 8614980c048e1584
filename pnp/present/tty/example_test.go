// SPDX-License-Identifier: Apache-2.0

package tty_test

import (
	"fmt"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/tty"
)

// A table that makes terminals of a vendor's devices, although their client does not call
// them serial ports.
func ExamplePresent() {
	table := present.Table{{
		Name: "serial", Help: "a serial port: a terminal", Exclusive: true,
		Serves:  func(d *pnp.Description) bool { return strings.HasPrefix(d.HardwareIDs[0], `ACME\`) },
		Present: tty.Present, // or tty.PresentPseudo, which takes no rights
	}}
	fmt.Println(table.Serving(&pnp.Description{Name: "Scale", HardwareIDs: []string{`ACME\SCALE`}}).Help)
	// Output: a serial port: a terminal
}
