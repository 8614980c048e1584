// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"context"
	"fmt"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// Both roles in one process: what the server opens is the client's device.
func Example() {
	ctx := context.Background()
	devices := client.NewSession(client.Config{})
	defer devices.Close(ctx)
	if _, err := devices.Add(loopback.New(loopback.DefaultDescription())); err != nil {
		fmt.Println(err)
		return
	}

	link := memory.NewLink(devices)
	defer link.Close()
	apps := server.New(link, server.Config{})
	defer apps.Close()
	if err := apps.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if err := apps.LoggedOn(); err != nil {
		fmt.Println(err)
		return
	}
	d, err := apps.WaitDevice(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Description().Name)
	// Output: Ts Fake Device
}
