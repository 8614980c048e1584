// SPDX-License-Identifier: Apache-2.0

package dcerpc_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// A server of an interface with one method, which adds two numbers.
func ExampleServer() {
	add := func(call *dcerpc.Call) ([]byte, error) {
		in := ndr.NewDecoder(call.Stub, call.Order)
		var a, b uint32
		in.Uint32(&a)
		in.Uint32(&b)
		if err := in.Err(); err != nil {
			return nil, err
		}
		sum := a + b
		out := ndr.NewEncoder()
		out.Uint32(&sum)
		return out.Stub(), nil
	}
	server := dcerpc.NewServer(&dcerpc.Interface{
		Syntax:     dcerpc.Syntax{UUID: pnp.MustGUID("00112233-4455-6677-8899-aabbccddeeff"), Major: 1},
		Endpoint:   `\PIPE\adder`,
		Operations: []dcerpc.Operation{add},
	}, slog.Default())

	peer, conn := net.Pipe()
	go server.Serve(context.Background(), conn, nil)
	bind := "\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00\x00\x00\x01\x00\x00\x00" + "\xb8\x10\xb8\x10\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x01\x00" + "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01\x00\x00\x00" +
		"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\x02\x00\x00\x00"
	request := "\x05\x00\x00\x03\x10\x00\x00\x00\x20\x00\x00\x00\x02\x00\x00\x00" + "\x08\x00\x00\x00\x00\x00\x00\x00" +
		"\x03\x00\x00\x00\x04\x00\x00\x00"
	answer := make([]byte, maxFragment)
	io.WriteString(peer, bind)
	peer.Read(answer)
	io.WriteString(peer, request)
	n, _ := peer.Read(answer)
	fmt.Printf("% x\n", answer[24:n])
	peer.Close()
	// Output: 07 00 00 00
}

const maxFragment = 4280 // the longest fragment of a server
