// SPDX-License-Identifier: Apache-2.0

//go:build !man

package main

import (
	"context"
	"os"

	"freerdp-pnpdr/pnp/backend/kinds"
)

// main does not catch signals, so that the first SIGINT or SIGTERM ends the program
// even if a file system or the reader of its output hangs. There is nothing to
// clean up, but for pnpdr provide.
func main() {
	a := &app{out: os.Stdout, errs: os.Stderr, kinds: kinds.All()}
	a.width, a.color = terminal(os.Stdout)
	os.Exit(a.run(context.Background(), os.Args[1:]))
}
