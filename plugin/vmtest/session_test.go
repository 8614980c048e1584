package vmtest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSessions runs all that needs a session, with one server and display.
func TestSessions(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *fixture)
	}{
		{"loopback", testLoopback},
		{"modem", testModem},
		{"HID", testHID},
		{"auto", testAuto},
		{"named", testNamed},
		{"denied", testDenied},
		{"permissions", testPermissions},
		{"udev", testUdev},
		{"cycles", testCycles},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, f) })
	}
}

// testLoopback is for when the others fail: does a session work at all?
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
