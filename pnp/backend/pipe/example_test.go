// SPDX-License-Identifier: Apache-2.0

package pipe_test

import (
	"fmt"
	"io"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/pipe"
)

// A pipe whose other end is in this process: it returns what it gets.
func ExampleServe() {
	d := pipe.Serve(pnp.Description{Name: "echo"}, nil, func(c io.ReadWriteCloser, _ pnp.OpenRequest) {
		io.Copy(c, c)
	})
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := &pnp.Request{Op: pnp.OpIOControl, Code: pipe.FSCTL_PIPE_TRANSCEIVE, In: []byte("hello"), Out: make([]byte, 16)}
	answered := make(chan struct{})
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) {
		fmt.Printf("%v: %q\n", hr, r.Out[:n])
		close(answered)
	})
	h.Submit(r)
	<-answered
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
	// Output: success (S_OK 0x00000000): "hello"
}
