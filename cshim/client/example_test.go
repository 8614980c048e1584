// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"log/slog"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/client"
)

// echo sends back what it receives, on every channel.
type echo struct{ log *slog.Logger }

func (e echo) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	e.log.Info("the server opens a channel", "name", name)
	return echoChannel{conn}, nil
}

func (e echo) Ended() { e.log.Info("the connection has ended") }

type echoChannel struct{ conn channels.Conn }

func (c echoChannel) Receive(msg []byte) error { return c.conn.Send(msg) } // lent until it returns
func (c echoChannel) Closed()                  {}

// A package main like this one, built with -buildmode=c-shared, is a plugin. It is called
// from C, so this example does not run; plugin/main.go is the real one.
func ExampleSetEntry() {
	client.SetEntry(func(args []string, host *client.Host) client.Session {
		log := host.Logger()
		log.Info("a connection begins", "options", args[1:])
		return echo{log}
	})
}
