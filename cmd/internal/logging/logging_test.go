// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

func TestFormats(t *testing.T) {
	var b bytes.Buffer
	New(&b, false, false).With("device", "Scale").Info("it has come", "kind", "serial")
	require.Contains(t, b.String(), `level=INFO msg="it has come" device=Scale kind=serial`)
	b.Reset()
	log := New(&b, true, true)
	log.Debug("it has gone")
	var line struct{ Level, Msg string }
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "it has gone", line.Msg)
	b.Reset()
	New(&b, true, false).Debug("hidden")
	require.Empty(t, b.String())
}

func TestPace(t *testing.T) {
	var b bytes.Buffer
	log := New(&b, false, true)
	for range 3 * burst {
		log.With("a", 1).WithGroup("g").Info("flood")
	}
	lines := strings.Count(b.String(), "flood")
	require.GreaterOrEqual(t, lines, burst)
	require.Less(t, lines, 3*burst) // or a second lasted 80 times as long
	log.Warn("another level")
	require.Contains(t, b.String(), "another level")
	log.Debug("for whoever asks")
	require.Contains(t, b.String(), "for whoever asks")
	log.Handler().(*handler).limits.levels[slog.LevelInfo].rate.SetLimit(rate.Inf)
	log.Info("again")
	require.Regexp(t, `msg=again lines_left_out=\d`, b.String())
}
