// SPDX-License-Identifier: Apache-2.0

package ncalrpc_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/ncalrpc"
)

// A folder for Samba's programs: rpcclient --option="ncalrpc dir=DIR" ncalrpc: -c
// netshareenumall. Here, client and server are in one process.
func Example() {
	ctx := context.Background()
	here := client.NewSession(client.Config{})
	defer here.Close(ctx)
	link := memory.NewLink(here)
	defer link.Close()
	s := server.New(link, server.Config{})
	defer s.Close()
	if s.Start(ctx) != nil || s.LoggedOn() != nil {
		return
	}

	dir, err := os.MkdirTemp("", "ncalrpc")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	folder, err := ncalrpc.Listen(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer folder.Close()
	folder.Follow(ctx, s) // programs wait until the client has srvsvc

	sockets, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range sockets {
		fmt.Println(filepath.Base(path))
	}
	fmt.Println(err)
	// Output:
	// EPMAPPER
	// srvsvc
	// <nil>
}
