// SPDX-License-Identifier: Apache-2.0

package libusb_test

import (
	"freerdp-pnpdr/cshim/libusb"
	"freerdp-pnpdr/pnp/backend/image"
)

// A program that redirects cameras says once how USB devices are reached.
func Example() {
	image.Use(libusb.USB{})
}
