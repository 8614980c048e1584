// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/agent.md", "While the files are in use, and %.0f seconds longer,", idleTime.Seconds())
	devtest.Documented(t, "docs/agent.md", "%d files can be open at a time", maxOpen)
	devtest.Documented(t, "docs/agent.md", "or after %s if the device does not say", devtest.Words(listed))
}
