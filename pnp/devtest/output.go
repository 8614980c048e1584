// SPDX-License-Identifier: Apache-2.0

// Package devtest has helpers for the tests of several packages: pseudo terminals, loop
// devices, and a log that can be read while it is being written.
package devtest

import (
	"log/slog"
	"strings"
	"sync"
)

// Output keeps what is written to it, and can be read at any time. The zero value is
// ready for use.
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

// String returns everything written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Logger returns a logger that writes messages of at least that level to o.
func (o *Output) Logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: level}))
}
