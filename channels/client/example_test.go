// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"fmt"
	"time"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// A session with one device, limited to 8 open handles. The transport passes
// the channels that the server opens to Accept.
func ExampleSession() {
	s := client.NewSession(client.Config{})
	d := loopback.New(loopback.DefaultDescription())
	id, err := s.AddLimited(d, pnp.DeviceLimits{Handles: 8})
	fmt.Println("added as", id, err)

	_, err = s.Accept("cliprdr", nil)
	fmt.Println(err)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println("ended:", s.Close(ctx), s.Counts())
	// Output:
	// added as 1 <nil>
	// [MS-RDPEPNP] has no channel "cliprdr"
	// ended: <nil> {0 0 0 0 0 0}
}
