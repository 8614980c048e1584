// SPDX-License-Identifier: Apache-2.0

package kinds_test

import (
	"fmt"

	"freerdp-pnpdr/pnp/backend/kinds"
)

// List the options that redirect a device.
func ExampleAll() {
	for _, k := range kinds.All() {
		fmt.Println(k.Usage())
	}
	// Output:
	// serial:PATH
	// hid:PATH
	// image:PORT
	// printer:PATH
	// char:PATH
	// file:PATH
	// pipe:PATH
	// provider:PATH
	// srvsvc[:read-only]
	// loopback
}
