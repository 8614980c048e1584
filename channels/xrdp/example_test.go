// SPDX-License-Identifier: Apache-2.0

package xrdp_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"freerdp-pnpdr/channels/xrdp"
)

// Joining needs the environment of a session: outside of one it fails at once.
func ExampleServer() {
	ssh := func(key string) string { return map[string]string{"DISPLAY": "localhost:10.0"}[key] } // or os.Getenv
	server := xrdp.Server{OpenTimeout: 5 * time.Second}
	session, err := server.Join(context.Background(), ssh, slog.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	// session opens channels to the client: see channels/server.
	<-session.Done()
	// Output: XRDP_SESSION or XRDP_SOCKET_PATH is not set: not in a session of this RDP server
}
