// SPDX-License-Identifier: Apache-2.0

package ahead

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/agent.md", "Sequential reads are made ahead of the program, up to %d MiB", maxWindow>>20)
	devtest.Documented(t, "docs/agent.md", "A write returns before the client has written: %d MiB wait at most", maxUnwritten>>20)
	devtest.Documented(t, "docs/limits.md", "%d MiB of read-ahead for each program that reads sequentially and %d MiB of unwritten data for each file", maxWindow>>20, maxUnwritten>>20)
	devtest.Documented(t, "docs/limits.md", "longer than twice the quickest and %d ms, requests wait for each other, and read-ahead shrinks, to %.1f MiB at least", queueing.Milliseconds(), float64(minWindow)/(1<<20))
}
