// SPDX-License-Identifier: Apache-2.0

// Package channels holds what both roles of the two sub-protocols share: the
// names of the dynamic channels and how a state machine meets its transport.
//
// The state machines are in channels/client (the side with the devices) and
// channels/server (the side with the applications). They exchange bytes with a
// transport: any that implements Conn and calls a Receiver will do.
package channels

import (
	"context"
	"errors"
)

// Names of the dynamic virtual channels (2.1).
const (
	PNPDR                 = "PNPDR"
	FileRedirectorChannel = "FileRedirectorChannel"
)

// ErrClosed is returned by Send and Sent after the channel has ended.
var ErrClosed = errors.New("channel closed")

// ErrNotCounted is returned by Conn.Sent if the transport does not count what
// it sends. The client role then assumes a rate.
var ErrNotCounted = errors.New("the transport does not count the bytes that it sends")

// ErrRefused is returned by Opener.Open when the client did not accept the
// channel.
var ErrRefused = errors.New("channel refused by the client")

// ErrTooLong is part of the error for a message above ServerConn.MaxMessage.
var ErrTooLong = errors.New("longer than the transport can carry as one message")

// Sender is the sending end of one dynamic channel. Its methods may be called
// from any goroutine.
type Sender interface {
	// Send queues msg as one message. It does not block, and does not keep
	// msg. Messages leave in the order of the calls. msg is not empty.
	Send(msg []byte) error
}

// Conn is the client's end of a channel. The count is part of it because the
// client role uses it to bound what waits in the transport. Whatever wraps a
// Conn must pass the count on.
type Conn interface {
	Sender

	// Sent returns how many bytes the transport has put on the wire so far, on
	// all channels of the session and including its own headers. It counts
	// WireSize or more for each message that does not wait any more, even if it was
	// lost with its channel. It does not block.
	//
	// The error is ErrNotCounted if the transport does not count; it then is
	// for every channel of the session, at every call. Otherwise it is
	// ErrClosed once this channel has ended; any other channel returns the same
	// count.
	Sent() (n uint64, err error)
}

// ChunkData is how many bytes of a message RDP carries in one chunk, and chunkHeaders how
// many it adds to them at least: TPKT, X.224, MCS, channel and DVC header. The real number may
// be slightly higher.
const (
	ChunkData    = 1594
	chunkHeaders = 24
)

// WireSize returns how many bytes a message of n bytes is on the wire of RDP, at least. The
// client role takes this to have left for each message. So a transport that adds less counts
// this all the same, or else the client would wait for bytes that are never sent.
func WireSize(n int) int64 {
	chunks := (int64(n) + ChunkData - 1) / ChunkData
	return int64(n) + chunks*chunkHeaders
}

// ServerConn is the server's end of a channel, which its owner may end.
type ServerConn interface {
	Sender

	// Close starts to end the channel and returns at once; the Receiver's
	// Closed is called later, from another goroutine. Further calls do nothing.
	Close()

	// MaxMessage returns the length in bytes of the longest message that Send
	// accepts: at least 1024, or 0 if the transport sets no limit. It never
	// changes.
	MaxMessage() int
}

// Receiver takes what one dynamic channel brings. The transport calls its
// methods one at a time.
type Receiver interface {
	// Receive processes one whole message. It may use msg only during the call.
	// It does not block. After an error the transport closes the channel and
	// makes no more calls except Closed.
	Receive(msg []byte) error

	// Closed is called exactly once when the channel has ended, whichever side
	// ended it; Send fails from then on. It does not block.
	Closed()
}

// Opener opens dynamic channels to the client. It is what the server role needs
// from its transport, and may be called from any goroutine.
type Opener interface {
	// Open opens a channel named name and waits until the client has
	// accepted it (nil), refused it (ErrRefused), the session has ended
	// (ErrClosed) or ctx is done (its error; the channel is abandoned, and
	// closed should the client still accept it).
	//
	// After the client has accepted and before anything is received, attach is
	// called with the channel's sending end and returns its Receiver. If Open
	// returns an error, attach was not called.
	Open(ctx context.Context, name string, attach func(ServerConn) Receiver) error
}
