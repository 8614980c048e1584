// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp/wire"
)

// badAddition is an addition with a valid header and a truncated description.
var badAddition = []byte{16, 0, 0, 0, 0x66, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0}

// A message that is dropped in any case may be malformed. Its header may not:
// it says what the message is.
func TestDroppedInfoMayBeMalformed(t *testing.T) {
	bad := map[string][]byte{
		"size":      {17, 0, 0, 0, 0x66, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0},
		"too short": {8, 0, 0, 0, 0x66, 0, 0, 0},
		"direction": {8, 0, 0, 0, 0x67, 0, 0, 0},
		"unknown":   {8, 0, 0, 0, 0x69, 0, 0, 0},
	}

	f := servertest.New(t, server.Config{})
	started := f.BeginStart(bg)
	inject(t, f.Info, badAddition) // before Client Version
	inject(t, f.Info, wire.OurVersion.Append(nil))
	if err := servertest.Wait(t, "Start", started); err != nil {
		t.Fatal(err)
	}
	inject(t, f.Info, badAddition) // before logon
	f.LoggedOn()
	if f.Info.Inject(badAddition) == nil {
		t.Error("a malformed addition was accepted")
	}

	for name, msg := range bad {
		f := servertest.New(t, server.Config{})
		f.Start()
		if f.Info.Inject(msg) == nil {
			t.Errorf("%s: %x was accepted before logon", name, msg)
		}
	}
}

// A custom event that the version excludes is not decoded; neither is a reply
// to nothing.
func TestIgnoredMayBeMalformed(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	for _, c := range []struct {
		client, server uint16
		accepted       bool
	}{{4, 6, true}, {6, 4, true}, {6, 6, false}} {
		h, ch := f.Open(d, c.client, server.OpenOptions{Version: c.server})
		inject(t, ch, []byte{0xEE, 0xEE, 0xEE, 0})
		for _, msg := range [][]byte{{0, 0, 0, 1}, event("x")[:25]} {
			if err := ch.Inject(msg); (err == nil) != c.accepted {
				t.Errorf("versions %d and %d, event %x: %v", c.client, c.server, msg, err)
			}
		}
		h.Close()
	}
}
