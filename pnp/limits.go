// SPDX-License-Identifier: Apache-2.0

package pnp

// DeviceLimits bound what a server can make one device cost, within what its
// session allows. 0 is no limit of the device's own.
type DeviceLimits struct {
	Handles     int   // open at a time
	Requests    int   // outstanding of a handle
	HandleBytes int64 // outstanding of a handle
	ReplyData   int   // bytes of data in one reply
	EventData   int   // bytes of data in a custom event
}

// Tighten takes over what other limits more.
func (l *DeviceLimits) Tighten(other DeviceLimits) {
	tighten(&l.Handles, other.Handles)
	tighten(&l.Requests, other.Requests)
	tighten(&l.HandleBytes, other.HandleBytes)
	tighten(&l.ReplyData, other.ReplyData)
	tighten(&l.EventData, other.EventData)
}

func tighten[T int | int64](limit *T, other T) {
	if other > 0 && (*limit == 0 || other < *limit) {
		*limit = other
	}
}
