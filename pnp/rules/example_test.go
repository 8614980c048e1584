// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// Whatever is plugged in is redirected, but for the devices of one vendor.
func ExampleLoad() {
	options := &rules.Options{Kinds: kinds.All()}
	for _, word := range []string{"rule:deny+vid=1050", "auto"} {
		if _, err := options.Take(word); err != nil {
			fmt.Println(err)
		}
	}
	policy, _ := rules.Load(rules.Files{}, options)
	for _, d := range []*discover.Device{
		{Subsystem: "tty", Node: "/dev/ttyUSB0", VendorID: 0x0403},
		{Subsystem: "hidraw", Node: "/dev/hidraw0", VendorID: 0x1050},
	} {
		decision := policy.Decide(d)
		fmt.Printf("%s: %s by %s\n", d.Node, decision.Verdict, decision.Reason)
	}
	// Output:
	// /dev/ttyUSB0: redirected by option auto
	// /dev/hidraw0: denied by option rule:deny+vid=1050
}
