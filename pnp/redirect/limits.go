// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/rules"
)

// limit is an option that bounds what a server can make the session spend.
type limit struct {
	key  string
	size bool // in bytes
	// least leaves room for what every session needs.
	least int64
	help  string
	// field is a *int or *int64.
	field func(*pnp.SessionLimits) any
}

var limits = []limit{
	{"max-reply", true, 1, "data in one reply", func(l *pnp.SessionLimits) any { return &l.ReplyData }},
	{"max-requests", false, 4, "outstanding requests of a handle", func(l *pnp.SessionLimits) any { return &l.HandleRequests }},
	{"max-handle-bytes", true, 1, "outstanding bytes of a handle", func(l *pnp.SessionLimits) any { return &l.HandleBytes }},
	{"max-session-bytes", true, 64 << 10, "outstanding bytes of the session", func(l *pnp.SessionLimits) any { return &l.SessionBytes }},
	{"max-handles", false, 1, "open handles", func(l *pnp.SessionLimits) any { return &l.Handles }},
	{"max-devices", false, 1, "devices", func(l *pnp.SessionLimits) any { return &l.Devices }},
	{"max-event", true, 0, "data of a custom event", func(l *pnp.SessionLimits) any { return &l.EventData }},
}

// limitOf returns the limit that an option sets; nil if it sets none.
func limitOf(key string) *limit {
	for i := range limits {
		if limits[i].key == key {
			return &limits[i]
		}
	}
	return nil
}

// parse sets the limit.
func (l *limit) parse(to *pnp.SessionLimits, value string) error {
	n, err := rules.ParseNumber(value, l.least)
	if err != nil {
		return err
	}
	switch field := l.field(to).(type) {
	case *int:
		*field = int(n)
	case *int64:
		*field = n
	}
	return nil
}

// usage is the option with its default, as "max-reply:BYTES (1M)".
func (l *limit) usage() string {
	argument := "N"
	if l.size {
		argument = "BYTES"
	}
	return fmt.Sprintf("%s:%s (%s)", l.key, argument, l.standard())
}

// standard is the default, as an option would give it.
func (l *limit) standard() string {
	var n int64
	limits := pnp.DefaultLimits()
	switch field := l.field(&limits).(type) {
	case *int:
		n = int64(*field)
	case *int64:
		n = *field
	}
	switch {
	case l.size && n%(1<<20) == 0:
		return fmt.Sprint(n>>20, "M")
	case l.size && n%(1<<10) == 0:
		return fmt.Sprint(n>>10, "K")
	}
	return fmt.Sprint(n)
}
