// SPDX-License-Identifier: Apache-2.0

package pipebridge

import "time"

// SetPatience sets how long answers may take, and how long it may be quiet after them.
func (b *Bridge) SetPatience(answer, quiet time.Duration) {
	b.answerTime, b.quietTime = answer, quiet
}
