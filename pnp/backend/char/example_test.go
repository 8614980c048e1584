// SPDX-License-Identifier: Apache-2.0

package char_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
)

func Example() {
	d, err := char.New(backend.Source{Path: "/dev/zero", ReadOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := d.Open(pnp.OpenRequest{
		Access: pnp.GENERIC_READ, Share: pnp.FILE_SHARE_READ, Disposition: pnp.OPEN_EXISTING,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close(func() {})
	done := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)}
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		fmt.Printf("%v: %d bytes\n", hr, n)
		close(done)
	})
	h.Submit(r)
	<-done
	// Output: success (S_OK 0x00000000): 4 bytes
}
