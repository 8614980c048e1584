// SPDX-License-Identifier: Apache-2.0

package client

import (
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	small := 2 * pnp.DefaultLimits().SessionBytes / chunkMemory
	devtest.Documented(t, "docs/limits.md", "*slots*: %d for a device and %d for the session", deviceSlots, sessionSlots)
	devtest.Documented(t, "docs/architecture.md", "%d for a device, %d in all", deviceSlots, sessionSlots)
	devtest.Documented(t, "docs/limits.md", "Where FreeRDP does not offer that count, %d MiB/s are assumed", assumedRate>>20)
	devtest.Documented(t, "docs/limits.md", "Even a small message takes %d bytes", chunkMemory)
	devtest.Documented(t, "docs/limits.md", "with the defaults %d,%d small requests in a session", small/1000, small%1000)
}
