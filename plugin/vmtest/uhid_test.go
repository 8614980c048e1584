// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest/uhidtest"
)

// uhid is a HID device that this process implements (/dev/uhid).
type uhid struct {
	*uhidtest.Device
	// sent gets what the kernel sends to the device: w or s for a write or
	// SET_REPORT, then the report.
	sent chan string
	// asked is told the id of each GET_REPORT; what answer has for it, if
	// anything, is sent back.
	asked  chan byte
	silent atomic.Bool // makes it stop answering
}

// newUHID makes a device with that name and waits for its node.
func newUHID(t testing.TB, name string, descriptor []byte, answer map[byte]string) *uhid {
	t.Helper()
	require.FileExists(t, "/dev/uhid", "the machine lacks a module")
	u := &uhid{sent: make(chan string, 64), asked: make(chan byte, 64)}
	u.Device = uhidtest.Plug(t, uhidtest.Config{
		Name: name, Vendor: 0x1209, Product: 0x0002, Version: 0x0100, Descriptor: descriptor,
		Write: func(report []byte) { u.sent <- "w" + string(report) },
		Set: func(_ uhidtest.Kind, report []byte) bool {
			u.sent <- "s" + string(report)
			return true
		},
		Get: func(_ uhidtest.Kind, id byte) ([]byte, bool, error) {
			u.asked <- id
			report, ok := answer[id]
			return []byte(report), ok && !u.silent.Load(), nil
		},
	})
	return u
}
