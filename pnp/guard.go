// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Guard, deferred at the top of a goroutine or around a call of somebody else's
// code, keeps a panic from ending the process, in which this code is a guest:
// the panic is logged with its stack, and then after is called unless it is
// nil.
func Guard(log *slog.Logger, what string, after func()) {
	if p := recover(); p != nil {
		log.Error(fmt.Sprintf("panic while %s: %v\n%s", what, p, debug.Stack()))
		if after != nil {
			after()
		}
	}
}
