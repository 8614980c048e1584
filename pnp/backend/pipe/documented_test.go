// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"testing"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/devices.md", "it accepts no more connections, or %d handles are open", maxInstances)
	devtest.Documented(t, "docs/devices.md", "the other end sends more than %d MiB in a message", maxMessage>>20)
	devtest.Documented(t, "docs/devices.md", "A handle keeps %d KiB or %d messages that nobody has read", maxUnread>>10, maxMessages)
	devtest.Documented(t, "docs/limits.md", "A pipe has %d handles at most. Each keeps %d KiB or %d messages that nobody has read; the last one can be longer, %d MiB at most", maxInstances, maxUnread>>10, maxMessages, maxMessage>>20)
	devtest.Documented(t, "docs/limits.md", "or for %d bytes of a pipe", leastMemory)
	devtest.Documented(t, "docs/devices.md", "| 0x%08X FSCTL_PIPE_TRANSCEIVE |", FSCTL_PIPE_TRANSCEIVE)
	devtest.Documented(t, "docs/devices.md", "| 0x%08X FSCTL_PIPE_PEEK |", FSCTL_PIPE_PEEK)
}
