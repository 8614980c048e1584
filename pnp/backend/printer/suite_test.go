// SPDX-License-Identifier: Apache-2.0

package printer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// TestSuite runs with a node that is not a printer's: /dev/null. The driver's own part is
// tested where that is (TestUSBLP…).
func TestSuite(t *testing.T) {
	device := func(readOnly bool) pnp.Device {
		d, err := New(backend.Source{Path: "/dev/null", ReadOnly: readOnly})
		require.NoError(t, err)
		return d
	}
	acceptance.Run(t, acceptance.Fixture{
		Stream: true,
		New: func(*testing.T) acceptance.Instance {
			return acceptance.Instance{Device: device(false), ReadOnly: device(true)}
		},
	})
}

// TestNotAPrinter: the IOControls of a printer fail on another node.
func TestNotAPrinter(t *testing.T) {
	d, err := New(backend.Source{Path: "/dev/null"})
	require.NoError(t, err)
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer closed(t, h)
	for _, code := range []uint32{IOCTL_USBPRINT_GET_LPT_STATUS, IOCTL_USBPRINT_GET_1284_ID, IOCTL_USBPRINT_SOFT_RESET} {
		hr, _ := control(t, h, code, nil, 64)
		require.Equal(t, pnp.ERROR_INVALID_FUNCTION.Name(), hr)
	}
	hr, _ := control(t, h, IOCTL_USBPRINT_VENDOR_GET_COMMAND, []byte{1, 2, 3}, 64)
	require.Equal(t, pnp.ERROR_NOT_SUPPORTED.Name(), hr)
	hr, _ = control(t, h, 0x00220044, nil, 64)
	require.Equal(t, pnp.ERROR_INVALID_FUNCTION.Name(), hr)
}

func TestNoPath(t *testing.T) {
	_, err := New(backend.Source{})
	require.Error(t, err)
}
