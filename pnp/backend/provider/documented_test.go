// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/providers.md", "does not say its version within %.0f seconds, or announces nonsense | there is no device; the plugin tries again, after %.0f seconds at most", helloTimeout.Seconds(), longestPause.Seconds())
	devtest.Documented(t, "docs/providers.md", "%d and %d KiB of descriptions at most", limits.Devices, limits.DescriptionBytes>>10)
}
