// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/provider"
	"freerdp-pnpdr/pnp/provide"
)

// The device of another process comes and goes. Here both are one.
func ExampleAttend() {
	dir, err := os.MkdirTemp("", "provider")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	theirs, end := context.WithCancel(ctx)
	go func() {
		ended <- provide.Device(theirs, path, loopback.New(loopback.DefaultDescription()), slog.Default())
	}()

	src := backend.Source{
		Path:     path,
		Describe: func(d pnp.Description) pnp.Description { return d },
		Owner: func(uid uint32) error { // only a process of this user's may provide devices
			if int(uid) != os.Getuid() {
				return fmt.Errorf("it is user %d's", uid)
			}
			return nil
		},
	}
	provider.Attend(ctx, src, func(d pnp.Device) (gone func(), err error) {
		fmt.Println("redirect", d.Description().Name)
		go end() // the provider ends
		return func() {
			fmt.Println("it has gone")
			cancel()
		}, nil
	})
	fmt.Println(<-ended)
	// Output:
	// redirect Ts Fake Device
	// it has gone
	// <nil>
}
