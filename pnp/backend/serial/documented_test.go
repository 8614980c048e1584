// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "what a serial port receives beyond %d bytes", defaultQueue)
	devtest.Documented(t, "docs/devices.md", "as long as that takes at its speed and %.0f seconds more, %s at most", drainLimit.Seconds(), devtest.Words(longestDrain))
}
