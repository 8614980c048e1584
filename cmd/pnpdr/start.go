// SPDX-License-Identifier: Apache-2.0

//go:build !man

package main

import (
	"context"
	"os"

	"freerdp-pnpdr/pnp/backend/kinds"
)

// main leaves the signals as they are: whatever hangs, a file system or who reads
// the output, the first SIGINT or SIGTERM ends the program. There is nothing to
// clean up.
func main() {
	a := &app{out: os.Stdout, errs: os.Stderr, kinds: kinds.All()}
	a.width, a.color = terminal(os.Stdout)
	os.Exit(a.run(context.Background(), os.Args[1:]))
}
