// SPDX-License-Identifier: Apache-2.0

package framer

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/server.md", "%d MiB on PNPDR, %d MiB of data in an event", MaxInfo>>20, MaxEvent>>20)
}
