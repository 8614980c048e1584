// SPDX-License-Identifier: Apache-2.0

package loopback_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

func Example() {
	d := loopback.New(loopback.DefaultDescription())
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close(func() {})
	r := &pnp.Request{Op: pnp.OpIOControl, Code: loopback.IOCTL_ECHO, In: []byte("hello"), Out: make([]byte, 16)}
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) { fmt.Printf("%v: %q\n", hr, r.Out[:n]) })
	h.Submit(r) // this device completes an echo at once
	// Output: success (S_OK 0x00000000): "hello"
}
