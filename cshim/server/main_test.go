// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// These sessions are cut off, which FreeRDP reports as errors. Set
	// WLOG_LEVEL to see them.
	if os.Getenv("WLOG_LEVEL") == "" {
		os.Setenv("WLOG_LEVEL", "OFF")
	}
	os.Exit(m.Run())
}
