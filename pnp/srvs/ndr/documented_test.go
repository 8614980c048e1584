// SPDX-License-Identifier: Apache-2.0

package ndr

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "It builds at most %d entries and pointers of what a request says is there", MaxItems)
}
