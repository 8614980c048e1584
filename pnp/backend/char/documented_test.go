// SPDX-License-Identifier: Apache-2.0

package char

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "Closing waits for a transfer that is under way, for %.0f seconds at most", closeLimit.Seconds())
	devtest.Documented(t, "docs/devices.md", "that waits for a transfer that is under way, for %.0f seconds at most", closeLimit.Seconds())
}
