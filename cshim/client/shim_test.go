// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// eachMajor runs test with the compiler flags for the headers of each major
// version of FreeRDP that are installed.
func eachMajor(t *testing.T, test func(t *testing.T, flags []string)) {
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("freerdp%d", major), func(t *testing.T) {
			flags, err := exec.Command("pkg-config", "--cflags", fmt.Sprintf("freerdp%d", major)).Output()
			if err != nil {
				t.Skipf("NOT TESTED with FreeRDP %d: its headers are not installed", major)
			}
			// As system headers: those of 3.15 have warnings of their own.
			test(t, strings.Fields(strings.ReplaceAll(string(flags), "-I", "-isystem")))
		})
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestABI: one binary serves all versions.
func TestABI(t *testing.T) {
	eachMajor(t, func(t *testing.T, flags []string) {
		run(t, "cc", append([]string{"-fsyntax-only", "-Wall", "-Wextra", "-Werror", "abicheck.c"}, flags...)...)
	})
}

// TestShim runs the tests of the C side under the sanitizers: use after close,
// empty writes, ends in every order, refusals, failures.
func TestShim(t *testing.T) {
	eachMajor(t, func(t *testing.T, flags []string) {
		program := filepath.Join(t.TempDir(), "shim_test")
		args := []string{
			"-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror",
			"-Itestdata/stub", "-I.", "-o", program, "shim.c", "host.c", "process.c", "testdata/shim_test.c",
		}
		run(t, "cc", append(append(args, flags...), "-ldl")...)
		run(t, program)
	})
}
