// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/providers.md", "every %.0f seconds at most", longestPause.Seconds())
	devtest.Documented(t, "docs/providers.md", "%d and %d KiB of descriptions at most", limits.Devices, limits.DescriptionBytes>>10)
}
