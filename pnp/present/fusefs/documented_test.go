// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/agent.md", "asking makes one of up to %d KiB", aheadSize>>10)
	devtest.Documented(t, "docs/agent.md", "With `O_NONBLOCK`, a write takes up to %d KiB", writeSize>>10)
	devtest.Documented(t, "docs/limits.md", "%d MiB for both in a session", sessionBudget>>20)
	devtest.Documented(t, "docs/agent.md", "if the last answer is older than %s", devtest.Words(sizeValid))
	devtest.Documented(t, "docs/agent.md", "and asked again after %s", devtest.Words(foundValid))
	const most = maxIoctl&^3 - ioctlHeader // a structure's size is a multiple of 4
	devtest.Documented(t, "docs/agent.md", "N is what you like, up to %d,%d:", most/1000, most%1000)
}
