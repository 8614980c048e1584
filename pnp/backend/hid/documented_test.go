// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "Input reports of a HID device that nobody has read take %d MiB at most for each device", inputBytes>>20)
	devtest.Documented(t, "docs/limits.md", "(%d, or what HidD_SetNumInputBuffers says)", defaultInputBuffers)
	devtest.Documented(t, "docs/devices.md", "The queue of a handle holds %d reports", defaultInputBuffers)
}
