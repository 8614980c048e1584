// SPDX-License-Identifier: Apache-2.0

package serial_test

import (
	"encoding/binary"
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/serial"
)

// Set the speed of a port.
func Example() {
	d, err := serial.New(backend.Source{Path: "/dev/ttyUSB0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := d.Open(pnp.OpenRequest{
		Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close(func() {})
	done := make(chan struct{})
	rate := binary.LittleEndian.AppendUint32(nil, 115200)
	r := &pnp.Request{Op: pnp.OpIOControl, Code: serial.IOCTL_SERIAL_SET_BAUD_RATE, In: rate}
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) {
		fmt.Println(hr)
		close(done)
	})
	h.Submit(r)
	<-done
}
