// SPDX-License-Identifier: Apache-2.0

package folder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/kinds"
)

// The devices of one session become folders. Here, client and server are in one process.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(dir)
	f, err := folder.New(filepath.Join(dir, "pnpdr"), folder.Config{Table: kinds.All()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Remove()

	ctx := context.Background()
	devices := client.NewSession(client.Config{})
	defer devices.Close(ctx)
	link := memory.NewLink(devices)
	defer link.Close()
	came := make(chan struct{})
	s := server.New(link, server.Config{Limits: folder.Limits, OnDevice: func(ev server.DeviceEvent) {
		f.OnDevice(ev)
		close(came)
	}})
	defer s.Close()
	if err := s.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.LoggedOn(); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := devices.Add(loopback.New(loopback.DefaultDescription())); err != nil {
		fmt.Println(err)
		return
	}
	<-came
	for _, d := range f.Devices() {
		fmt.Printf("%q is of kind %s, in folder %s\n", d.Name, d.Kind, d.Folder)
	}
	// Output: "Ts Fake Device" is of kind stream, in folder Ts_Fake_Device
}
