// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/server.md", "`rdp.Config.Pending` (%d), `ConnectTimeout` (%.0f s) each", defaultPending, defaultConnectTimeout.Seconds())
	devtest.Documented(t, "docs/server.md", "`rdp.Config.MaxMessage` (%d MiB)", defaultMaxMessage>>20)
	devtest.Documented(t, "docs/server.md", "`rdp.Config.MaxMessages` (%d MiB)", defaultMaxMessages>>20)
	devtest.Documented(t, "docs/server.md", "a channel is closed %s after its Close at the latest", devtest.Words(goodbyeTimeout))
}
