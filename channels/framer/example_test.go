// SPDX-License-Identifier: Apache-2.0

package framer_test

import (
	"bytes"
	"fmt"
	"testing/iotest"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/framer"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Two replies that arrive as a stream, byte by byte. What was asked for tells where each ends.
func ExampleFramer() {
	var stream bytes.Buffer // from the client
	f := framer.New(channels.FileRedirectorChannel, iotest.OneByteReader(&stream))
	for _, request := range [][]byte{
		wire.ReadRequest{RequestID: 1, CbBytesToRead: 8}.Append(nil),
		wire.WriteRequest{RequestID: 2, Data: []byte("hello")}.Append(nil),
	} {
		if err := f.Sent(request); err != nil {
			fmt.Println(err)
			return
		}
	}

	stream.Write(wire.WriteReply{RequestID: 2, Result: pnp.S_OK, CbBytesWritten: 5}.Append(nil))
	stream.Write(wire.DataReply{RequestID: 1, Result: pnp.S_OK, Data: []byte("21.5 C")}.Append(nil))
	for {
		msg, err := f.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(wire.Decode(msg, wire.IOToServer))
	}
	// Output:
	// Reply RequestId=0x000002 len(Payload)=8 <nil>
	// Reply RequestId=0x000001 len(Payload)=15 <nil>
	// EOF
}
