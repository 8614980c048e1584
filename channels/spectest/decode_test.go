// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"fmt"
	"strings"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp/wire"
)

// decoder decodes messages from one role on one channel.
type decoder func(msg []byte) (wire.Message, error)

func in(from wire.Direction) decoder {
	return func(msg []byte) (wire.Message, error) { return wire.Decode(msg, from) }
}

// replyTo decodes replies to one kind of request.
func replyTo(request wire.Kind) decoder {
	return func(msg []byte) (wire.Message, error) {
		m, err := wire.Decode(msg, wire.IOToServer)
		switch {
		case err != nil:
			return m, err
		case m.Kind != wire.KindReply:
			return wire.Message{}, fmt.Errorf("%v is not a reply", m)
		}
		return m.ReplyTo(request)
	}
}

var (
	infoToClient = in(wire.InfoToClient)
	infoToServer = in(wire.InfoToServer)
	ioToClient   = in(wire.IOToClient)
	ioToServer   = in(wire.IOToServer)

	capabilitiesReply = replyTo(wire.KindCapabilitiesRequest)
	createFileReply   = replyTo(wire.KindCreateFileRequest)
	readReply         = replyTo(wire.KindReadRequest)
	writeReply        = replyTo(wire.KindWriteRequest)
	ioControlReply    = replyTo(wire.KindIOControlRequest)
)

// directionOf is the direction of messages to the client on the named channel.
func directionOf(name string, toClient bool) wire.Direction {
	switch {
	case name == channels.PNPDR && toClient:
		return wire.InfoToClient
	case name == channels.PNPDR:
		return wire.InfoToServer
	case toClient:
		return wire.IOToClient
	}
	return wire.IOToServer
}

// must decodes a message that must be well formed.
func must(t *testing.T, decode decoder, msg []byte) wire.Message {
	t.Helper()
	m, err := decode(msg)
	if err != nil {
		t.Fatalf("%x: %v", msg, err)
	}
	return m
}

// text shows all fields of v, and every byte of data. A nil slice looks like an
// empty one.
func text(v any) string {
	return strings.ReplaceAll(fmt.Sprintf("%#v", v), "[]uint8(nil)", "[]uint8{}")
}
