// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
)

// Event is a custom event of a device as the file events has it, a line of JSON for each.
type Event struct {
	// Time is when it came.
	Time time.Time `json:"time"`
	GUID string    `json:"guid"`
	// Data is what the event carries, in hexadecimal.
	Data string `json:"data"`
}

func eventLine(ev server.CustomEvent) []byte {
	line, _ := json.Marshal(Event{ev.Time.UTC(), ev.GUID.String(), hex.EncodeToString(ev.Data)}) // cannot fail
	return append(line, '\n')
}

// eventLines tells the device's events to one reader after the other's call. See
// fusefs.Shape.
func eventLines(d *present.Device) func() (<-chan []byte, func()) {
	return func() (<-chan []byte, func()) {
		events, cancel := d.Events()
		lines := make(chan []byte)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			defer close(lines)
			for ev := range events {
				select {
				case lines <- eventLine(ev):
				case <-stop:
					return
				}
			}
		}()
		return lines, sync.OnceFunc(func() {
			close(stop)
			cancel()
			<-done
		})
	}
}
