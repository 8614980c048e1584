// SPDX-License-Identifier: Apache-2.0

package pipe_test

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
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	redirected "freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/pipe"
)

// A local program connects to a pipe of the client. Here, both are in one process.
func ExamplePresent() {
	dir, err := os.MkdirTemp("", "pipe")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	table := present.Table{{Name: "pipe", Serves: func(*pnp.Description) bool { return true }, Present: pipe.Present}}
	f, err := folder.New(filepath.Join(dir, "pnpdr"), folder.Config{Table: table})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Remove()

	ctx := context.Background()
	here := client.NewSession(client.Config{})
	defer here.Close(ctx)
	link := memory.NewLink(here)
	defer link.Close()
	s := server.New(link, server.Config{OnDevice: f.OnDevice, Limits: folder.Limits})
	defer s.Close()
	if s.Start(ctx) != nil || s.LoggedOn() != nil {
		return
	}
	greeter, err := net.Listen("unix", filepath.Join(dir, "greeter"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer greeter.Close()
	go func() {
		if c, err := greeter.Accept(); err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	d, err := redirected.New(backend.Source{Path: greeter.Addr().String(), Description: pnp.Description{Name: "greeter"}})
	if err == nil {
		_, err = here.Add(d)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	var program net.Conn
	for program == nil { // the device may not be there yet
		program, _ = net.Dial("unix", filepath.Join(f.Dir(), "greeter", "socket"))
	}
	defer program.Close()
	text, err := io.ReadAll(program)
	fmt.Printf("%s %v\n", text, err)
	// Output: hello <nil>
}
