// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"encoding/binary"
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/image"
)

// usb takes the place of libusb.USB, of cshim/libusb, by which real devices are reached.
type usb struct{}

func (usb) Claim(fd, number int) (image.Interface, error) { return nil, image.ErrGone }

// Asking for a camera's vendor and product.
func Example() {
	image.Use(usb{})
	d, err := image.New(backend.Source{Path: "/dev/bus/usb/250/099"})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	if err != nil {
		fmt.Println(pnp.HRESULTOf(err).Name()) // there is no such camera here
		return
	}
	defer h.Close(func() {})
	done := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpIOControl, Code: image.IOCTL_GET_DEVICE_DESCRIPTOR, Out: make([]byte, 8)}
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, _ int) {
		fmt.Printf("%v: %04x:%04x\n", hr, binary.LittleEndian.Uint16(r.Out), binary.LittleEndian.Uint16(r.Out[2:]))
		close(done)
	})
	h.Submit(r)
	<-done
	// Output: ERROR_DEVICE_NOT_CONNECTED
}
