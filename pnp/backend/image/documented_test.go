// SPDX-License-Identifier: Apache-2.0

package image

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "Reads and writes time out after %.0f seconds at first", defaultTimeout.Seconds())
	devtest.Documented(t, "docs/devices.md", "%d wait for each handle; then the oldest are dropped", keptEvents)
	devtest.Documented(t, "docs/devices.md", "USBSCAN_PIPE_CONFIGURATION: the first %d pipes", maxPipes)
	for name, code := range map[string]uint32{
		"IOCTL_GET_VERSION":            IOCTL_GET_VERSION,
		"IOCTL_CANCEL_IO":              IOCTL_CANCEL_IO,
		"IOCTL_WAIT_ON_DEVICE_EVENT":   IOCTL_WAIT_ON_DEVICE_EVENT,
		"IOCTL_READ_REGISTERS":         IOCTL_READ_REGISTERS,
		"IOCTL_WRITE_REGISTERS":        IOCTL_WRITE_REGISTERS,
		"IOCTL_GET_CHANNEL_ALIGN_RQST": IOCTL_GET_CHANNEL_ALIGN_RQST,
		"IOCTL_GET_DEVICE_DESCRIPTOR":  IOCTL_GET_DEVICE_DESCRIPTOR,
		"IOCTL_RESET_PIPE":             IOCTL_RESET_PIPE,
		"IOCTL_GET_USB_DESCRIPTOR":     IOCTL_GET_USB_DESCRIPTOR,
		"IOCTL_SEND_USB_REQUEST":       IOCTL_SEND_USB_REQUEST,
		"IOCTL_GET_PIPE_CONFIGURATION": IOCTL_GET_PIPE_CONFIGURATION,
		"IOCTL_SET_TIMEOUT":            IOCTL_SET_TIMEOUT,
		"IOCTL_SEND_USB_REQUEST_PTP":   IOCTL_SEND_USB_REQUEST_PTP,
	} {
		devtest.Documented(t, "docs/devices.md", "0x%08X %s", code, name)
	}
}
