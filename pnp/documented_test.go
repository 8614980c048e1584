// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "an eighth of `max-session-bytes` (%d MiB) at most", pnp.DefaultLimits().KeptBytes()>>20)
}
