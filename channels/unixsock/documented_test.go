// SPDX-License-Identifier: Apache-2.0

package unixsock

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/providers.md", "the connection ends after %.0f seconds, and a device is not opened anew before", lingerTime.Seconds())
	devtest.Documented(t, "docs/providers.md", "No message is longer than %d MiB", MaxMessage>>20)
}
