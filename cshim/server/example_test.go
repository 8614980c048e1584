// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"fmt"
	"net"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server"
)

// greeter answers each message of the client with a greeting.
type greeter struct{ conn channels.ServerConn }

func (g greeter) Receive([]byte) error { return g.conn.Send([]byte("hello")) }
func (g greeter) Closed()              {}

// A server that greets clients on the channel PNPDR for as long as they stay.
func ExampleListen() {
	s, err := server.Listen("127.0.0.1:0", server.Config{
		Session: func(ctx context.Context, p *server.Peer) {
			err := p.Open(ctx, channels.PNPDR, func(conn channels.ServerConn) channels.Receiver {
				return greeter{conn}
			})
			if err != nil {
				return // this disconnects the client
			}
			<-ctx.Done()
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	host, _, _ := net.SplitHostPort(s.Addr().String())
	fmt.Println("listening on", host)
	fmt.Println("closed:", s.Close())
	// Output:
	// listening on 127.0.0.1
	// closed: <nil>
}
