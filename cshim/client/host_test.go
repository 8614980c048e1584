// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type lazy struct{}

func (lazy) LogValue() slog.Value { return slog.GroupValue(slog.Int("a", 1), slog.Int("b", 2)) }

// TestLine: what a message and its attributes look like, as slog.Handler has it.
func TestLine(t *testing.T) {
	none := func(h slog.Handler) slog.Handler { return h }
	for _, c := range []struct {
		with  func(slog.Handler) slog.Handler
		attrs []any
		want  string
	}{
		{none, nil, "text"},
		{none, []any{"n", 1, "err", errors.New("no")}, "text n=1 err=no"},
		{none, []any{slog.Attr{}, "last", true}, "text last=true"},
		{none, []any{slog.Group("g", "a", 1, slog.Group("h", "b", 2)), "c", 3}, "text g.a=1 g.h.b=2 c=3"},
		{none, []any{slog.Group("", "inline", 1), slog.Group("empty")}, "text inline=1"},
		{none, []any{"lazy", lazy{}}, "text lazy.a=1 lazy.b=2"},
		{
			func(h slog.Handler) slog.Handler { return h.WithGroup("") },
			[]any{"a", 1}, "text a=1",
		},
		{
			func(h slog.Handler) slog.Handler {
				h = h.WithAttrs([]slog.Attr{slog.Int("before", 1)}).WithGroup("g").WithAttrs([]slog.Attr{slog.Int("within", 2)})
				h.WithGroup("other").WithAttrs([]slog.Attr{slog.Int("not", 0)})
				return h.WithGroup("h")
			},
			[]any{"a", 3}, "text before=1 g.within=2 g.h.a=3",
		},
	} {
		r := slog.NewRecord(time.Time{}, slog.LevelInfo, "text", 0)
		r.Add(c.attrs...)
		require.Equal(t, c.want, c.with(&handler{}).(*handler).line(r))
	}
}
