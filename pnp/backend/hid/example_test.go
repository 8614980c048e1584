// SPDX-License-Identifier: Apache-2.0

package hid_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/hid"
)

func ExampleNew() {
	d, err := hid.New(backend.Source{
		Path:        "/dev/unplugged/hidraw0",
		Description: pnp.Description{Name: "Bar code scanner"},
		ReadOnly:    true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Description().Name)

	// The device need not be plugged in until it is opened.
	_, err = d.Open(pnp.OpenRequest{
		Access:      pnp.GENERIC_READ,
		Share:       pnp.FILE_SHARE_READ,
		Disposition: pnp.OPEN_EXISTING,
	})
	fmt.Println(pnp.HRESULTOf(err).Name())
	// Output:
	// Bar code scanner
	// ERROR_DEVICE_NOT_CONNECTED
}
