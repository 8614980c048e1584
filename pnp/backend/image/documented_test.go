// SPDX-License-Identifier: Apache-2.0

package image

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "Reads and writes time out after %.0f seconds at first", defaultTimeout.Seconds())
	devtest.Documented(t, "docs/devices.md", "%d wait for each handle; then the oldest are dropped", keptEvents)
	devtest.Documented(t, "docs/devices.md", "USBSCAN_PIPE_CONFIGURATION: the first %d pipes", maxPipes)
}
