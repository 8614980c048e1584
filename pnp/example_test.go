// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"fmt"
	"os"

	"freerdp-pnpdr/pnp"
)

// An error of the system becomes a result that Windows applications know.
func ExampleHRESULTOf() {
	_, err := os.Open("/no/such/file")
	fmt.Println(pnp.HRESULTOf(err))
	// Output: not found (ERROR_FILE_NOT_FOUND 0x80070002)
}

// The bytes of a GUID are in the order of the wire.
func ExampleParseGUID() {
	g, err := pnp.ParseGUID("{6BDD1FC6-810F-11D0-BEC7-08002BE2092F}")
	fmt.Printf("%v %x %v\n", g, g[:], err)
	// Output: {6BDD1FC6-810F-11D0-BEC7-08002BE2092F} c61fdd6b0f81d011bec708002be2092f <nil>
}

// The maker of a request learns its result from OnComplete.
func ExampleRequest_Complete() {
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)}
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) { fmt.Printf("%v: %q\n", hr, r.Out[:n]) })
	r.Complete(pnp.S_OK, copy(r.Out, "data"))
	// Output: success (S_OK 0x00000000): "data"
}
