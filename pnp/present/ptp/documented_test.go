// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "A folder of a camera or player has %d,%03d files at most, and a device %d memories;", MaxObjects/1000, MaxObjects%1000, maxStorages)
}
