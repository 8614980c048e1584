// SPDX-License-Identifier: Apache-2.0

package pipebridge

import (
	"testing"
	"time"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/server.md", "of at most %d KiB; several reads are always pending", chunk>>10)
	devtest.Documented(t, "docs/server.md", "%d programs are served at a time, and others wait", maxConnections)
	devtest.Documented(t, "docs/agent.md", "What a program writes at once is one message, of %d KiB at most", chunk>>10)
	devtest.Documented(t, "docs/server.md", "for %d seconds before the answer, for %d seconds behind it", answerTime/time.Second, quietTime/time.Second)
	devtest.Documented(t, "docs/agent.md", "answer if that [comes within %d seconds]", answerTime/time.Second)
	devtest.Documented(t, "docs/agent.md", "unless the client takes more than %s for that", devtest.Words(lingerTime))
}
