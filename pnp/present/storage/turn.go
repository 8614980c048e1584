// SPDX-License-Identifier: Apache-2.0

package storage

import "context"

// turn is a lock for which a call waits no longer than its context: a program that waits
// for another one, which waits for the client, can be killed.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// try takes the turn if it need not wait.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) take(ctx context.Context) error {
	if t.try() {
		return nil
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }
