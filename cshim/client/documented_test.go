// SPDX-License-Identifier: Apache-2.0

package client

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "a burst of %d lines and then %d a second", logBurst, int(logRate))
}
