// SPDX-License-Identifier: Apache-2.0

package pipe_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/pipe"
)

// echo is a service that returns what it gets.
type echo struct{ said []byte }

func (e *echo) Take(p []byte) (n int, whole bool) {
	e.said = append(e.said[:0], p...)
	return len(p), true
}

func (e *echo) Blocks() bool                          { return false }
func (e *echo) Answer(write func([]byte) error) error { return write(e.said) }
func (e *echo) Close()                                {}

// A pipe whose other end is in this process.
func ExampleServe() {
	d := pipe.Serve(pnp.Description{Name: "echo"}, nil, func(pnp.OpenRequest) pipe.Service { return new(echo) })
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
