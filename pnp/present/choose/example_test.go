// SPDX-License-Identifier: Apache-2.0

package choose_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/choose"
	"freerdp-pnpdr/pnp/present/kinds"
)

func Example() {
	var c choose.Choices
	for _, err := range []error{c.Only("vid=0403"), c.Deny("product=*debug*"), c.As("Scale=stream", kinds.All())} {
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	ids := []string{`USB\VID_0403&PID_6001`}
	scale, debug := &pnp.Description{Name: "Scale", HardwareIDs: ids}, &pnp.Description{Name: "Debug port", HardwareIDs: ids}
	fmt.Println(c.Wanted(scale), c.Kind(scale).Name)
	fmt.Println(c.Wanted(debug))
	// Output:
	// true stream
	// false
}
