// SPDX-License-Identifier: Apache-2.0

// The plugin libpnpdr-client.so: FreeRDP loads it for /dvc:pnpdr and redirects
// the devices that its options name. This package turns options into devices
// and devices into a session; it decides nothing else.
//
//	go build -buildmode=c-shared -o libpnpdr-client.so ./plugin
package main

import (
	"fmt"

	"freerdp-pnpdr/cshim/client"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/redirect"
)

// version is what the plugin says of itself.
const version = "0.1.0"

func init() {
	client.SetEntry(func(args []string, host *client.Host) client.Session {
		major, minor, revision := host.Version()
		return redirect.Start(args, redirect.Host{
			Name:        fmt.Sprintf("freerdp-pnpdr %s on FreeRDP %d (%d.%d.%d)", version, major, major, minor, revision),
			Kinds:       kinds.All(),
			Log:         host.Logger(),
			LiveObjects: client.LiveObjects,
		})
	})
}

// main is not called: the library has no program.
func main() {}
