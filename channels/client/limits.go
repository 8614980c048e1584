// SPDX-License-Identifier: Apache-2.0

package client

import "freerdp-pnpdr/pnp"

// Limits bound what a server can make the client spend. A request's bytes are
// outstanding from when it is accepted until its reply is known to have left
// and its device has let go of its buffers.
type Limits struct {
	ReplyData      int   // bytes of data in one reply: a longer read comes back short, an IOControl with a larger cbOut fails
	HandleRequests int   // outstanding requests of a handle
	HandleBytes    int64 // outstanding bytes of a handle
	SessionBytes   int64 // outstanding bytes of all handles, at most half of them for one device; and the memory of unsent messages in the transport
	Handles        int   // open handles
	Devices        int   // devices present at a time
	EventData      int   // bytes of data in a custom event
}

// DefaultLimits returns the limits of a session that sets none.
func DefaultLimits() Limits {
	return Limits{
		ReplyData:      1 << 20,
		HandleRequests: 1024,
		HandleBytes:    16 << 20,
		SessionBytes:   64 << 20,
		Handles:        4096,
		Devices:        256,
		EventData:      64 << 10,
	}
}

// within returns the session's limits, tightened by a device's own.
func (l Limits) within(d pnp.DeviceLimits) Limits {
	l.Handles = tighter(l.Handles, d.Handles)
	l.HandleRequests = tighter(l.HandleRequests, d.Requests)
	l.HandleBytes = tighter(l.HandleBytes, d.HandleBytes)
	l.ReplyData = tighter(l.ReplyData, d.ReplyData)
	l.EventData = tighter(l.EventData, d.EventData)
	// A read that would never fit comes back short, too.
	l.ReplyData = int(min(int64(l.ReplyData), l.HandleBytes, l.deviceBytes()))
	return l
}

// deviceBytes is how many bytes a device may have outstanding, those of closed
// handles included, so that one that hangs leaves room for the others.
func (l Limits) deviceBytes() int64 { return l.SessionBytes / 2 }

func tighter[T int | int64](limit, own T) T {
	if own > 0 {
		return min(limit, own)
	}
	return limit
}

const (
	// These bound the calls that may block, and so the number of threads: Go
	// ends the process at 10000. Each device gets at least one slot.
	deviceSlots  = 32
	sessionSlots = 256

	// announceBytes is the size of descriptions at which a Client Device
	// Addition is sent and another one begun.
	announceBytes = 64 << 10
)
