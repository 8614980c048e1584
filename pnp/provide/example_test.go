// SPDX-License-Identifier: Apache-2.0

package provide_test

import (
	"context"
	"log/slog"
	"os/signal"
	"syscall"

	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/provide"
)

// A provider with one device. It ends at Ctrl-C.
func ExampleDevice() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d := loopback.New(loopback.DefaultDescription())
	if err := provide.Device(ctx, "/run/user/1000/meter", d, slog.Default()); err != nil {
		slog.Error("the provider has ended", "err", err)
	}
}
