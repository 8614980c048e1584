// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/agent.md", "If the client takes nothing for %.0f seconds after the last close, the rest is dropped", closingLimit.Seconds())
	devtest.Documented(t, "docs/agent.md", "changes of the settings are noticed within %.1f seconds", lookInterval.Seconds())
}
