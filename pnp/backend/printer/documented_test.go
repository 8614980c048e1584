// SPDX-License-Identifier: Apache-2.0

package printer

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "as Windows is reported to do. %d bytes at most", longest)
	devtest.Documented(t, "docs/devices.md", "the same for data from the printer, %d bytes at most", longest)
	devtest.Documented(t, "docs/devices.md", "The driver keeps %d bytes of an id", longestID)
	for name, code := range map[string]uint32{
		"IOCTL_USBPRINT_GET_LPT_STATUS":     IOCTL_USBPRINT_GET_LPT_STATUS,
		"IOCTL_USBPRINT_GET_1284_ID":        IOCTL_USBPRINT_GET_1284_ID,
		"IOCTL_USBPRINT_VENDOR_SET_COMMAND": IOCTL_USBPRINT_VENDOR_SET_COMMAND,
		"IOCTL_USBPRINT_VENDOR_GET_COMMAND": IOCTL_USBPRINT_VENDOR_GET_COMMAND,
		"IOCTL_USBPRINT_SOFT_RESET":         IOCTL_USBPRINT_SOFT_RESET,
	} {
		devtest.Documented(t, "docs/devices.md", "| %s | 0x%08X |", name, code)
	}
}
