// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Guard recovers from a panic, logs it with its stack and then calls after, unless
// that is nil. Defer it at the top of a goroutine or around a call of foreign code:
// this code is a guest in its process and must not end it.
func Guard(log *slog.Logger, what string, after func()) {
	if p := recover(); p != nil {
		log.Error(fmt.Sprintf("panic while %s: %v\n%s", what, p, debug.Stack()))
		if after != nil {
			after()
		}
	}
}
