// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// A server asks for 8 bytes of a device, and the client answers with 5.
func ExampleDecode() {
	request := wire.ReadRequest{RequestID: 7, CbBytesToRead: 8}.Append(nil)
	m, err := wire.Decode(request, wire.IOToClient)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m)
	if m.Kind == wire.KindReadRequest {
		fmt.Println(m.ReadRequest().CbBytesToRead, "bytes")
	}

	// A reply does not say what it answers.
	reply := wire.DataReply{RequestID: 7, Result: pnp.S_OK, Data: []byte("hello")}.Append(nil)
	r, err := wire.Decode(reply, wire.IOToServer)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r)
	r, err = r.ReplyTo(m.Kind)
	fmt.Println(r, err)

	_, err = wire.Decode(request[:19], wire.IOToClient)
	fmt.Println(err)

	// Output:
	// Read Request RequestId=0x000007 cbBytesToRead=8 Offset=0x0
	// 8 bytes
	// Reply RequestId=0x000007 len(Payload)=14
	// Read Reply RequestId=0x000007 Result=S_OK len(Data)=5 <nil>
	// malformed Read Request: 19 bytes, not 20 ([MS-RDPEPNP] 2.2.2.3.3)
}
