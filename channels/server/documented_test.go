// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/server.md", "%s after that (`CancelWait`) the call gives up", devtest.Words(defaultCancelWait))
	var l Limits
	l.setDefaults()
	devtest.Documented(t, "docs/server.md", "%d for each reader, and %d MiB for all readers of a session", l.Events, l.EventMemory>>20)
	devtest.Documented(t, "docs/agent.md", "All that wait in a session take %d MiB at most", l.EventMemory>>20)
	devtest.Documented(t, "docs/agent.md", "If nobody reads, %d events wait, or a few more;", l.Events)
}
