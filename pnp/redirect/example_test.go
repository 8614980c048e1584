// SPDX-License-Identifier: Apache-2.0

package redirect_test

import (
	"fmt"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/redirect"
)

// What /dvc:pnpdr,serial:/dev/ttyUSB0,name:Scale,auto,rr asks for.
func ExampleParseOptions() {
	options := redirect.ParseOptions([]string{"serial:/dev/ttyUSB0", "name:Scale", "auto", "rr"}, kinds.All())
	for _, n := range options.Rules.Named {
		fmt.Printf("%s at %s, called %s\n", n.Kind.Name, n.Path, n.Settings.Description.Name)
	}
	for _, problem := range options.Problems {
		fmt.Println(problem)
	}
	// Output:
	// serial at /dev/ttyUSB0, called Scale
	// option "rr": it is ignored: there is no such option (did you mean "ro"?)
}
