// SPDX-License-Identifier: Apache-2.0

package pnp

// The device interface classes that devices of this project have, by their
// names in Windows' headers.
var (
	GUID_DEVINTERFACE_COMPORT    = MustGUID("{86E0D1E0-8089-11D0-9CE4-08003E301F73}") // ntddser.h
	GUID_DEVINTERFACE_HID        = MustGUID("{4D1E55B2-F16F-11CF-88CB-001111000030}") // hidclass.h
	GUID_DEVINTERFACE_IMAGE      = MustGUID("{6BDD1FC6-810F-11D0-BEC7-08002BE2092F}") // wiaintfc.h
	GUID_DEVINTERFACE_USB_DEVICE = MustGUID("{A5DCBF10-6530-11D2-901F-00C04FB951ED}") // usbiodef.h
	GUID_DEVINTERFACE_USBPRINT   = MustGUID("{28D78FAD-5A12-11D1-AE5B-0000F803A8C2}") // usbprint.h
	GUID_DEVINTERFACE_WPD        = MustGUID("{6AC27878-A6FA-4155-BA85-F98F491D4F33}") // portabledevice.h
)
