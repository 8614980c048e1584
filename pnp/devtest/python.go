// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"os/exec"
	"testing"
)

// Python returns an interpreter that has a module: the python3 of PATH, or the
// distribution's, for which its packages are. It skips the test if there is none; what says
// what is not tested then, and debian is the package.
func Python(t testing.TB, module, what, debian string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("NOT TESTED: %s: no Python has %s (package %s)", what, module, debian)
	return ""
}
