// SPDX-License-Identifier: Apache-2.0

//go:build man

package main

import (
	"freerdp-pnpdr/cmd/internal/manpages"
	"freerdp-pnpdr/pnp/backend/kinds"
)

func main() { manpages.Main((&app{kinds: kinds.All()}).command()) }
