// SPDX-License-Identifier: Apache-2.0

package present

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBuckets: a bucket ends at most a fourth above where it begins, and no duration is
// outside of its own.
func TestBuckets(t *testing.T) {
	for range 100_000 {
		d := time.Duration(rand.Int64() >> (1 + rand.IntN(60)))
		b := bucket(d)
		require.Less(t, d, upper(b), d)
		if d >= 2*steps {
			require.GreaterOrEqual(t, d, upper(b-1), d)
			require.LessOrEqual(t, float64(upper(b)), 1.25*float64(upper(b-1)), d)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var o opStats
	begun := func(took time.Duration) time.Time { return time.Now().Add(-took) }
	require.Zero(t, o.stats())
	for range 97 {
		o.end(begun(time.Hour), 1, nil)
	}
	for range 3 {
		o.end(begun(10*time.Hour), 1, nil)
	}
	s := o.stats()
	require.GreaterOrEqual(t, s.Median, time.Hour)
	require.Less(t, s.Median, 5*time.Hour/4)
	require.GreaterOrEqual(t, s.P99, 10*time.Hour)
	require.LessOrEqual(t, s.P99, s.Max)
}
