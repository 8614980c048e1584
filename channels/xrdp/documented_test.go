// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/wire"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/agent.md", "Under xrdp, %d handles can be open at a time", maxChannels-2)
	devtest.Documented(t, "docs/server.md", "%d channels for a session, so %d open handles beside PNPDR and the probe", maxChannels, maxChannels-2)
	devtest.Documented(t, "docs/server.md", "its limit (`MaxMessage`) is %d KiB", maxMessage>>10)
	var defaults Server
	defaults.setDefaults()
	devtest.Documented(t, "docs/server.md", "a probe every %s:", devtest.Words(defaults.ProbeInterval))
	devtest.Documented(t, "docs/server.md", "If nothing at all comes for %.0f seconds, the session is over", defaults.ProbeTimeout.Seconds())
	const input, written = maxMessage - wire.IOControlRequestSize, maxMessage - wire.WriteRequestSize
	devtest.Documented(t, "docs/agent.md", "a request of more than %d,%d bytes of input fails", input/1000, input%1000)
	devtest.Documented(t, "docs/agent.md", "(%d,%d bytes under xrdp)", written/1000, written%1000)
}
