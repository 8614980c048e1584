// SPDX-License-Identifier: Apache-2.0

package srvs_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"freerdp-pnpdr/pnp/srvs"
)

// A desk is a Source with one scale, which nobody has open.
type desk struct{}

func (desk) Snapshot() srvs.Snapshot {
	return srvs.Snapshot{
		Session: srvs.Session{Client: "RDPHOST", User: "alice"},
		Shares:  []srvs.Share{{ID: 1, Name: "Scale", Type: srvs.TypeDevice, Remark: "Serial port"}},
	}
}

func (desk) CloseFile(uint32) error { return srvs.ErrFileNotFound }

// The Server Service on a port of the loopback, as impacket or smbtorture ask it.
func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	server := srvs.New(srvs.Config{Host: "thin-client"}, desk{})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.Serve(context.Background(), conn, 0)
		}
	}()

	// Something that is not RPC gets a fault, and is hung up on.
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	fmt.Println(len(answer), "bytes")
	// Output: 32 bytes
}

func ExampleShareName() {
	var names []string
	taken := func(name string) bool {
		for _, n := range names {
			if strings.EqualFold(n, name) {
				return true
			}
		}
		return false
	}
	for _, friendly := range []string{"ACME: Scale [1]", "acme_ scale _1_", "", "IPC$"} {
		name := srvs.ShareName(friendly, taken)
		names = append(names, name)
		fmt.Println(name)
	}
	// Output:
	// ACME_ Scale _1_
	// acme_ scale _1_ (2)
	// Device
	// IPC$ (2)
}
