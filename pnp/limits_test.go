// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithin: a device's own limits never loosen those of its session.
func TestWithin(t *testing.T) {
	session := SessionLimits{ReplyData: 100, HandleRequests: 10, HandleBytes: 1000, SessionBytes: 4000, Handles: 5, Devices: 2}
	require.Equal(t, session, session.Within(DeviceLimits{}))
	require.Equal(t, session, session.Within(DeviceLimits{Handles: 6, Requests: 11, HandleBytes: 1001, ReplyData: 101, EventData: 1}))
	require.Equal(t,
		SessionLimits{ReplyData: 50, HandleRequests: 9, HandleBytes: 50, SessionBytes: 4000, Handles: 4, Devices: 2},
		session.Within(DeviceLimits{Handles: 4, Requests: 9, HandleBytes: 50}), "a reply has to fit")

	own := DeviceLimits{Handles: 3}
	own.Tighten(DeviceLimits{Handles: 4, Requests: 7})
	require.Equal(t, DeviceLimits{Handles: 3, Requests: 7}, own)
}
