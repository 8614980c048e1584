// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
)

// TestSessions runs all tests that need a session, with one server and display:
// all of them with the newest xfreerdp that is installed, and some with each
// version.
func TestSessions(t *testing.T) {
	f := newFixture(t)
	newest := 3
	if path, _ := servertest.FindClient(newest); path == "" {
		newest = 2
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *fixture)
		all  bool // with every version
	}{
		{"loopback", testLoopback, true},
		{"modem", testModem, false},
		{"HID", testHID, false},
		{"instrument", testInstrument, false},
		{"composite", testComposite, false},
		{"presented", testPresented, false},
		{"auto", testAuto, true},
		{"named", testNamed, false},
		{"denied", testDenied, false},
		{"permissions", testPermissions, false},
		{"udev", testUdev, false},
		{"IOControls", testIOControls, false},
		{"image", testImage, true},
		{"player", testPlayer, true},
		{"unplugged", testUnplugged, true},
		{"vendor", testVendor, false},
		{"responder", testResponder, true},
		{"agent", testAgent, true},
		{"speed", testSpeed, false},
		{"cycles", testCycles, false},
	} {
		for _, major := range []int{2, 3} {
			if !c.all && major != newest {
				continue
			}
			t.Run(fmt.Sprintf("%s/xfreerdp%d", c.name, major), func(t *testing.T) {
				f.newest = major == newest
				f.binary = servertest.RequireClient(t, major)
				c.test(t, f)
			})
		}
	}
}

// testLoopback tells whether a session works at all when the others fail.
func testLoopback(t *testing.T, f *fixture) {
	r := f.connect(t, "loopback")
	h := r.open(r.added(fakeDevice))
	n, err := h.WriteAt(r.ctx, []byte("hello"), 0)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	p := make([]byte, 5)
	_, err = h.ReadAt(r.ctx, p, 0)
	require.NoError(t, err)
	require.Equal(t, "hello", string(p))
	r.finish()
}
