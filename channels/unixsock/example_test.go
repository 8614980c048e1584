// SPDX-License-Identifier: Apache-2.0

package unixsock_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/unixsock"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/provide"
)

// A session between two processes; here they are one.
func ExampleDialer() {
	dir, err := os.MkdirTemp("", "unixsock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() {
		ended <- provide.Device(ctx, path, loopback.New(loopback.DefaultDescription()), slog.Default())
	}()

	dialer := unixsock.NewDialer(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	})
	s := server.New(dialer, server.Config{})
	for s.Start(ctx) != nil { // the other one may not listen yet
	}
	if err := s.LoggedOn(); err != nil {
		fmt.Println(err)
	}
	d, err := s.WaitDevice(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Description().Name)
	s.Close()
	dialer.Close()
	cancel()
	fmt.Println(<-ended)
	// Output:
	// Ts Fake Device
	// <nil>
}
