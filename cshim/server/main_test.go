// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// These sessions end by violence, which FreeRDP reports as errors. To see
	// them set WLOG_LEVEL.
	if os.Getenv("WLOG_LEVEL") == "" {
		os.Setenv("WLOG_LEVEL", "OFF")
	}
	os.Exit(m.Run())
}
