// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp"
)

// limitSettings are the settings that bound what a device may cost, in the order
// in which they are shown.
var limitSettings = []struct {
	key  string
	size bool // in bytes
	get  func(*pnp.DeviceLimits) int64
	set  func(*pnp.DeviceLimits, int64)
}{
	{
		"handles", false,
		func(l *pnp.DeviceLimits) int64 { return int64(l.Handles) },
		func(l *pnp.DeviceLimits, n int64) { l.Handles = int(n) },
	}, {
		"requests", false,
		func(l *pnp.DeviceLimits) int64 { return int64(l.Requests) },
		func(l *pnp.DeviceLimits, n int64) { l.Requests = int(n) },
	}, {
		"handle-bytes", true,
		func(l *pnp.DeviceLimits) int64 { return l.HandleBytes },
		func(l *pnp.DeviceLimits, n int64) { l.HandleBytes = n },
	}, {
		"reply", true,
		func(l *pnp.DeviceLimits) int64 { return int64(l.ReplyData) },
		func(l *pnp.DeviceLimits, n int64) { l.ReplyData = int(n) },
	}, {
		"event", true,
		func(l *pnp.DeviceLimits) int64 { return int64(l.EventData) },
		func(l *pnp.DeviceLimits, n int64) { l.EventData = int(n) },
	},
}

// withLimits adds the limits to the settings that there are.
func withLimits(settings map[string]setting) map[string]setting {
	for _, limit := range limitSettings {
		settings[limit.key] = func(s *Settings, value string) error {
			n, err := ParseNumber(value, 1)
			if err == nil {
				limit.set(&s.Limits, n)
			}
			return err
		}
	}
	return settings
}

func limitKeys(size bool) (keys []string) {
	for _, limit := range limitSettings {
		if limit.size == size {
			keys = append(keys, limit.key)
		}
	}
	return keys
}

// ParseNumber reads a number from least to 2147483647, which may have a K or M
// behind it.
func ParseNumber(text string, least int64) (int64, error) {
	digits, unit := text, int64(1)
	switch {
	case strings.HasSuffix(text, "K"):
		digits, unit = text[:len(text)-1], 1<<10
	case strings.HasSuffix(text, "M"):
		digits, unit = text[:len(text)-1], 1<<20
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if n *= unit; err != nil || n < least || n > math.MaxInt32 {
		return 0, fmt.Errorf("%q is not a number from %d to %d, such as 100, 64K or 16M", text, least, math.MaxInt32)
	}
	return n, nil
}

// LimitTexts are the limits of the device's own in the words of a rule.
func (o *Decision) LimitTexts() []string {
	var texts []string
	for _, limit := range limitSettings {
		if n := limit.get(&o.Limits); n > 0 {
			texts = append(texts, fmt.Sprintf("%s = %d", limit.key, n))
		}
	}
	return texts
}
