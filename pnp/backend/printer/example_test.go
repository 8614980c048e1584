// SPDX-License-Identifier: Apache-2.0

package printer_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/printer"
)

// Asking a printer for its device id.
func Example() {
	d, err := printer.New(backend.Source{Path: "/dev/usb/lp7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	if err != nil {
		fmt.Println(pnp.HRESULTOf(err).Name()) // there is no such printer here
		return
	}
	defer h.Close(func() {})
	done := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpIOControl, Code: printer.IOCTL_USBPRINT_GET_1284_ID, Out: make([]byte, 1024)}
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) {
		fmt.Printf("%v: %s\n", hr, r.Out[2:max(n-1, 2)])
		close(done)
	})
	h.Submit(r)
	<-done
	// Output: ERROR_DEVICE_NOT_CONNECTED
}
