// SPDX-License-Identifier: Apache-2.0

//go:build !man

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"freerdp-pnpdr/pnp/backend/kinds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	a := &app{out: os.Stdout, errs: os.Stderr, kinds: kinds.All()}
	a.width, a.color = terminal(os.Stdout)
	os.Exit(a.run(ctx, os.Args[1:]))
}
