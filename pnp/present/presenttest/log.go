// SPDX-License-Identifier: Apache-2.0

package presenttest

import (
	"io"
	"sync"
	"testing"
)

// lines writes to the log of a test, until it ends.
type lines struct {
	t     testing.TB
	mu    sync.Mutex
	ended bool
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.t.Logf("%s", line)
	}
	return len(line), nil
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}
