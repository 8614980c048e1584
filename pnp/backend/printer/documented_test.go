// SPDX-License-Identifier: Apache-2.0

package printer

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "as Windows is reported to do. %d bytes at most", longest)
	devtest.Documented(t, "docs/devices.md", "the same for data from the printer, %d bytes at most", longest)
	devtest.Documented(t, "docs/devices.md", "The driver keeps %d bytes of an id", longestID)
}
