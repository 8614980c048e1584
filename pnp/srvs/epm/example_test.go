// SPDX-License-Identifier: Apache-2.0

package epm_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"freerdp-pnpdr/pnp/srvs"
	"freerdp-pnpdr/pnp/srvs/epm"
)

// The endpoint mapper of a folder in which the Server Service is at the socket srvsvc.
// Samba's programs ask it first.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "ncalrpc")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, epm.Socket))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	mapper := epm.New(srvs.Syntax, epm.Endpoint{Socket: "srvsvc"}, slog.Default())

	// Somebody connects, and asks nothing.
	program, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	program.Close()
	conn, err := listener.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mapper.Serve(context.Background(), conn, nil))
	// Output: <nil>
}
