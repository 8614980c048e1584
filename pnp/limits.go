// SPDX-License-Identifier: Apache-2.0

package pnp

import "errors"

// ErrTooMany is the error of adding a device to a session that has no room for it.
var ErrTooMany = errors.New("a limit of this session is reached")

// SessionLimits bound what a server can make the client spend. A request's bytes are
// outstanding from its arrival until its reply has surely been sent and its device has
// released its buffers.
type SessionLimits struct {
	ReplyData      int   // bytes of data in one reply: a longer read comes back short, an IOControl with a larger cbOut fails
	HandleRequests int   // outstanding requests of a handle
	HandleBytes    int64 // outstanding bytes of a handle
	SessionBytes   int64 // outstanding bytes of all handles, at most half of them for one device; and the memory of unsent messages in the transport
	Handles        int   // open handles
	Devices        int   // devices present at a time
	EventData      int   // bytes of data in a custom event
}

// DefaultLimits returns the limits of a session that sets none.
func DefaultLimits() SessionLimits {
	return SessionLimits{
		ReplyData:      1 << 20,
		HandleRequests: 1024,
		HandleBytes:    16 << 20,
		SessionBytes:   64 << 20,
		Handles:        4096,
		Devices:        256,
		EventData:      64 << 10,
	}
}

// Within returns the session's limits, tightened by a device's own.
func (l SessionLimits) Within(d DeviceLimits) SessionLimits {
	l.Handles = within(l.Handles, d.Handles)
	l.HandleRequests = within(l.HandleRequests, d.Requests)
	l.HandleBytes = within(l.HandleBytes, d.HandleBytes)
	l.ReplyData = within(l.ReplyData, d.ReplyData)
	l.EventData = within(l.EventData, d.EventData)
	// A read that would never fit comes back short, too.
	l.ReplyData = int(min(int64(l.ReplyData), l.HandleBytes, l.DeviceBytes()))
	return l
}

// within returns the lower limit; 0 sets none for the device.
func within[T int | int64](session, own T) T {
	if own > 0 {
		return min(session, own)
	}
	return session
}

// DeviceBytes returns how many bytes a device may have outstanding, including those of
// closed handles, so that a device that hangs leaves room for others.
func (l SessionLimits) DeviceBytes() int64 { return l.SessionBytes / 2 }

// KeptBytes returns how many bytes the handles of the session may keep although no
// request asked for them.
func (l SessionLimits) KeptBytes() int64 { return l.SessionBytes / 8 }

// DeviceLimits bound what a server can make one device cost, within the limits of the
// session. 0 sets no limit for the device.
type DeviceLimits struct {
	Handles     int   // open at a time
	Requests    int   // outstanding of a handle
	HandleBytes int64 // outstanding of a handle
	ReplyData   int   // bytes of data in one reply
	EventData   int   // bytes of data in a custom event
}

// Tighten takes each limit of other that is lower.
func (l *DeviceLimits) Tighten(other DeviceLimits) {
	tighten(&l.Handles, other.Handles)
	tighten(&l.Requests, other.Requests)
	tighten(&l.HandleBytes, other.HandleBytes)
	tighten(&l.ReplyData, other.ReplyData)
	tighten(&l.EventData, other.EventData)
}

// tighten lowers a limit to another one. 0 means no limit.
func tighten[T int | int64](limit *T, other T) {
	if other > 0 && (*limit == 0 || other < *limit) {
		*limit = other
	}
}
