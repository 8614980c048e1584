// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the run if a goroutine is left over: no row may leak one.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
