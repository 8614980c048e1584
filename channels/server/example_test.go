// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"fmt"
	"strings"

	"freerdp-pnpdr/channels"
	pnpclient "freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// An application writes to a device of the client and reads the data back.
func ExampleSession() {
	ctx := context.Background()
	opener, disconnect := connect()
	defer disconnect()

	s := server.New(opener, server.Config{})
	defer s.Close()
	if err := s.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Devices are accepted once the user has logged on.
	if err := s.LoggedOn(); err != nil {
		fmt.Println(err)
		return
	}
	d, err := s.WaitDevice(ctx, func(d *server.Device) bool {
		return strings.HasPrefix(d.Description().Name, "Ts ")
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := d.Open(ctx, server.OpenOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	n, err := h.WriteAt(ctx, []byte("hello"), 100)
	fmt.Println("wrote", n, err)
	p := make([]byte, 5)
	n, err = h.ReadAt(ctx, p, 100)
	fmt.Printf("read %q %v\n", p[:n], err)
	// Output:
	// wrote 5 <nil>
	// read "hello" <nil>
}

// connect takes the place of an RDP connection: it returns the opener of channels to
// a client that redirects the loopback device.
func connect() (opener channels.Opener, disconnect func()) {
	devices := pnpclient.NewSession(pnpclient.Config{})
	if _, err := devices.Add(loopback.New(loopback.DefaultDescription())); err != nil {
		panic(err)
	}
	link := memory.NewLink(devices)
	return link, func() {
		link.Close()
		devices.Close(context.Background())
	}
}
