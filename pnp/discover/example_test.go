// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"fmt"

	"freerdp-pnpdr/pnp/discover"
)

// Lists what is plugged in, and why some of it is redirected only if it is named.
func ExampleScan() {
	devices, err := discover.Scan(discover.Config{})
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range devices {
		fmt.Println(d.Description.Name, d.Node, d.Excluded)
	}
}

// Follows devices as they come and go.
func ExampleStart() {
	monitor, err := discover.Start(discover.Config{}, func(e discover.Event) {
		fmt.Println(e.Kind, e.Device.Description.Name)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer monitor.Close()
}

// Finds the device behind a node, whatever the node is called.
func ExampleAt() {
	devices, err := discover.At(discover.Config{}, "/dev/null")
	if err != nil {
		fmt.Println(err)
	}
	for _, d := range devices {
		fmt.Println(d.Key, "on bus", d.Bus)
	}
	// Output:
	// devices/virtual/mem/null on bus virtual
}
