// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// TestList: a line for each printer, and nothing that a client says breaks it.
func TestList(t *testing.T) {
	s := newSession(t)
	s.Add(loopback.New(pnp.Description{Name: "no printer"}))
	zebra, _ := s.plug("Zebra")
	zebra.set(func() { zebra.id = "MFG:Zebra;MDL:ZD420;CMD:ZPL;" })
	evil, _ := s.plug("a\"b\\\n\x1bü")
	evil.set(func() { evil.id = "MODEL:x\"\\\n\x01;\xff" })
	r := start(t, s.sessions, "", nil)
	require.Zero(t, r.status())
	require.Empty(t, r.stderr.String())
	require.ElementsMatch(t, []string{
		`direct pnpdr://` + self.name + `/Zebra "Zebra ZD420" "Zebra of ` + self.name + `" "MFG:Zebra;MDL:ZD420;CMD:ZPL;" ""`,
		`direct pnpdr://` + self.name + `/a_b_%C3%BC "x____" "a_b____ of ` + self.name + `" "MODEL:x____;_" ""`,
	}, strings.Split(strings.TrimSuffix(r.stdout.String(), "\n"), "\n"))
}

func TestNobody(t *testing.T) {
	r := start(t, "/nowhere", "", nil)
	require.Zero(t, r.status())
	require.Empty(t, r.stdout.String()+r.stderr.String())
}

// TestHostileUser: a user's process cannot list what is another's, nor keep CUPS waiting
// or full.
func TestHostileUser(t *testing.T) {
	sessions, _, u := others(t)
	b := New("/bin/sh", "-c", `
		echo 'direct pnpdr://nobody/Zebra "Unknown" "Zebra" "" ""'
		echo 'direct pnpdr://root/Zebra "Unknown" "Zebra" "" ""'
		echo 'direct usb://HP/LaserJet "Unknown" "Zebra" "" ""'
		echo 'direct pnpdr://nobody/a b "Unknown" "Zebra" "" ""'
		printf 'direct pnpdr://nobody/a "\033" "Zebra" "" ""\n'
		printf 'direct pnpdr://nobody/a "%3000d" "Zebra" "" ""\n' 0
		exec cat /dev/zero`)
	b.sessions = sessions
	line := "direct pnpdr://nobody/Zebra \"Unknown\" \"Zebra\" \"\" \"\"\n"
	require.Equal(t, line, b.listOf(context.Background(), u))

	b.self[2] = "echo '" + strings.TrimSpace(line) + "'; exec sleep 1000"
	b.listPatience = 300 * time.Millisecond
	require.Equal(t, line, b.listOf(context.Background(), u))
}

func TestModel(t *testing.T) {
	for id, want := range map[string]string{
		"":                                   "Unknown",
		"MFG:Zebra;":                         "Unknown",
		"MFG:Zebra;MDL:ZD420;":               "Zebra ZD420",
		"MANUFACTURER:HP; MODEL:HP LaserJet": "HP LaserJet",
		"mdl:x":                              "x",
	} {
		require.Equal(t, want, model(id))
	}
}
