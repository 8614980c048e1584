// The plugin libpnpdr-client.so: FreeRDP loads it for /dvc:pnpdr and redirects
// the devices that its options name. This package turns options into devices
// and devices into a session; it decides nothing else.
//
//	go build -buildmode=c-shared -o libpnpdr-client.so ./plugin
package main

import "freerdp-pnpdr/cshim/client"

// version is what the plugin says of itself.
const version = "0.1.0"

func init() {
	client.SetEntry(func(args []string, host *client.Host) client.Session {
		return newSession(args, host)
	})
}

// main is not called: the library has no program.
func main() {}
