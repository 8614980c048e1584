// SPDX-License-Identifier: Apache-2.0

// Package logging makes the log of a program that serves others.
package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// What other people do may set the pace of the log. It takes so many lines at once and
// so many a second, of each level above debug.
const (
	burst = 200
	pace  = 5
)

// New returns a logger that writes to w, as text or JSON, from info or from debug
// upwards. Lines beyond a burst of 200 and 5 a second, for each level, are left out and
// counted in the next one of that level. Debug lines are exempt.
func New(w io.Writer, json, debug bool) *slog.Logger {
	opt := &slog.HandlerOptions{Level: slog.LevelInfo}
	if debug {
		opt.Level = slog.LevelDebug
	}
	var h slog.Handler = slog.NewTextHandler(w, opt)
	if json {
		h = slog.NewJSONHandler(w, opt)
	}
	return slog.New(&handler{h, &limits{levels: make(map[slog.Level]*limit)}})
}

type handler struct {
	slog.Handler
	limits *limits
}

// limits are shared by all handlers that come from one.
type limits struct {
	mu     sync.Mutex
	levels map[slog.Level]*limit
}

type limit struct {
	rate    *rate.Limiter
	dropped int
}

func (l *limits) allow(level slog.Level) (ok bool, dropped int) {
	if level < slog.LevelInfo {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lim := l.levels[level]
	if lim == nil {
		lim = &limit{rate: rate.NewLimiter(pace, burst)}
		l.levels[level] = lim
	}
	if !lim.rate.Allow() {
		lim.dropped++
		return false, 0
	}
	dropped, lim.dropped = lim.dropped, 0
	return true, dropped
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	ok, dropped := h.limits.allow(r.Level)
	if !ok {
		return nil
	}
	if dropped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("lines_left_out", dropped))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.limits}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.limits}
}
