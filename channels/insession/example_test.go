// SPDX-License-Identifier: Apache-2.0

package insession_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/xrdp"
)

// A program lists the devices that the client of its session redirects, until that client
// has gone.
func ExampleJoin() {
	list := func(ctx context.Context) error {
		session, err := insession.Join(ctx, os.Getenv, slog.Default(), xrdp.Server{})
		if err != nil {
			return err
		}
		defer session.Close()
		role := server.New(session, server.Config{OnDevice: func(ev server.DeviceEvent) {
			fmt.Println(ev.Device.Description().Name, ev.Removed)
		}})
		defer role.Close()
		if err := role.Start(ctx); err != nil {
			return err
		}
		if err := role.LoggedOn(); err != nil {
			return err
		}
		<-session.Done()
		return session.Err()
	}
	if !insession.Inside(os.Getenv, xrdp.Server{}) {
		return
	}
	if err := list(context.Background()); errors.Is(err, insession.ErrNotInSession) {
		fmt.Println("the session has ended")
	}
}
