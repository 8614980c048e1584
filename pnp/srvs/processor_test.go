// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOn32Bits: numbers that a caller sends mean the same to a processor with 32 bits.
func TestOn32Bits(t *testing.T) {
	if testing.Short() || runtime.GOARCH != "amd64" {
		t.Skip("NOT TESTED: it builds the tests for 386, which only amd64 runs, too")
	}
	program := filepath.Join(t.TempDir(), "test")
	build := exec.Command("go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	if err := exec.Command(program, "-test.run", "^$").Run(); err != nil {
		t.Skip("NOT TESTED: this machine runs no programs with 32 bits: ", err)
	}
	out, err = exec.Command(program, "-test.short", "-test.run", "TestRequirements").CombinedOutput()
	require.NoError(t, err, "%s", out)
}
