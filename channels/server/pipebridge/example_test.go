// SPDX-License-Identifier: Apache-2.0

package pipebridge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/pipe"
)

// A local program talks to a pipe of the client.
func Example() {
	here := client.NewSession(client.Config{})
	link := memory.NewLink(here)
	s := server.New(link, server.Config{})
	ctx := context.Background()
	if s.Start(ctx) != nil || s.LoggedOn() != nil {
		return
	}
	address, err := pipebridge.ParseAddress("tcp:127.0.0.1:0")
	if err != nil {
		return
	}
	bridge, err := pipebridge.Listen(address, nil)
	if err != nil {
		return
	}
	bridge.Follow(ctx, s, func(d *server.Device) bool { return d.Description().Name == "greeter" })

	program, err := net.Dial("tcp", bridge.Addr().String())
	if err != nil {
		return
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	greeter, err := net.Listen("unix", filepath.Join(dir, "greeter"))
	if err != nil {
		return
	}
	go func() {
		c, err := greeter.Accept()
		if err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	d, err := pipe.New(backend.Source{Path: greeter.Addr().String(), Description: pnp.Description{Name: "greeter"}})
	if err != nil {
		return
	}
	here.Add(d)
	text, err := io.ReadAll(program)
	fmt.Printf("%s %v\n", text, err)

	program.Close()
	greeter.Close()
	bridge.Close()
	s.Close()
	link.Close()
	here.Close(ctx)
	// Output: hello <nil>
}
