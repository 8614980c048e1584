// SPDX-License-Identifier: Apache-2.0

package uhid_test

import (
	"fmt"
	"slices"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/uhid"
)

// A table for a server on which redirected HID devices are devices of its kernel.
func ExamplePresent() {
	table := present.Table{{
		Name: "hid", Help: "a HID device: one of the kernel's",
		Serves:  func(d *pnp.Description) bool { return slices.Contains(d.Interfaces, pnp.GUID_DEVINTERFACE_HID) },
		Present: uhid.Present,
	}}
	pad := pnp.Description{Name: "Signature pad", Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_HID}}
	fmt.Println(table.Serving(&pad).Help)
	fmt.Println("programs open", uhid.Link, "in the device's folder")
	// Output:
	// a HID device: one of the kernel's
	// programs open hidraw in the device's folder
}
