// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"strings"
	"testing"
)

// TestStreamsApart prints as FreeRDP's log does when a block of stdout ends in
// the middle of a line.
func TestStreamsApart(t *testing.T) {
	c := StartClient(t, ClientOptions{
		Display: ":none", // nothing uses it
		Wrapper: []string{"sh", "-c", "printf se; sleep 0.1; echo warning >&2; sleep 0.1; echo ssion ended"},
	})
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"session ended\n", "warning\n"} {
		if !strings.Contains(c.Output(), line) {
			t.Errorf("no %q in %q", line, c.Output())
		}
	}
}
