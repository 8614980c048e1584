// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/limits.md", "takes requests of %d MiB, and of %d MiB from all its handles together", maxStub>>20, maxStubs>>20)
}
