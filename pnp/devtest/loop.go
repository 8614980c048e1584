// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"os/exec"
	"strings"
	"testing"
)

// LoopDevice attaches a file to a loop device and returns its node. The options are
// those of losetup. It skips the test if there are no loop devices.
func LoopDevice(t testing.TB, file string, options ...string) (node string) {
	t.Helper()
	args := append([]string{"--find", "--show"}, options...)
	out, err := exec.Command("losetup", append(args, file)...).CombinedOutput()
	if err != nil {
		t.Skipf("cannot make a loop device, which needs root and the loop module: losetup: %v: %s", err, out)
	}
	node = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", node).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	})
	return node
}
