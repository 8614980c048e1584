// SPDX-License-Identifier: Apache-2.0

//go:build man

package main

import "freerdp-pnpdr/cmd/internal/manpages"

func main() { manpages.Main(newCLI().command()) }
