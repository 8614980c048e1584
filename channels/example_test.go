// SPDX-License-Identifier: Apache-2.0

package channels_test

import (
	"context"
	"fmt"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/memory"
)

// echo is a Receiver at the client's end: it sends every message back.
type echo struct{ channels.Conn }

func (e echo) Receive(msg []byte) error { return e.Send(msg) }
func (e echo) Closed()                  {}

// Accept takes every channel that the server opens.
func (echo) Accept(_ string, conn channels.Conn) (channels.Receiver, error) { return echo{conn}, nil }

// printer is a Receiver at the server's end.
type printer struct{ received chan string }

func (p printer) Receive(msg []byte) error { p.received <- string(msg); return nil }
func (p printer) Closed()                  { close(p.received) }

func ExampleOpener() {
	var opener channels.Opener = memory.NewLink(echo{})
	p := printer{received: make(chan string, 1)}
	var conn channels.ServerConn
	err := opener.Open(context.Background(), channels.PNPDR, func(c channels.ServerConn) channels.Receiver {
		conn = c
		return p
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := conn.Send([]byte("to the client and back")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-p.received)
	conn.Close()
	_, open := <-p.received
	fmt.Println("open:", open)
	// Output:
	// to the client and back
	// open: false
}
