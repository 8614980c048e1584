// SPDX-License-Identifier: Apache-2.0

package srvsvc_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/srvsvc"
)

func ExampleNew() {
	d, err := srvsvc.New(backend.Source{Path: srvsvc.ReadOnly, Description: pnp.Description{Name: "srvsvc"}})
	fmt.Println(d.Description().Name, err)
	// Output: srvsvc <nil>
}
