// SPDX-License-Identifier: Apache-2.0

// Package devtest holds what the tests of several packages need: pseudo
// terminals, loop devices, a log that can be read while it is written.
package devtest

import (
	"log/slog"
	"strings"
	"sync"
)

// Output keeps what is written to it, and can be read meanwhile. The zero value
// is ready for use.
type Output struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Logger returns a logger that writes here what is of the level or above it.
func (o *Output) Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: level}))
}
