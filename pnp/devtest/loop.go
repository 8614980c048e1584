// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"os/exec"
	"strings"
	"testing"
)

// LoopDevice attaches a file to a loop device and returns its node. The options
// are those of losetup. Where there are no loop devices the test is skipped.
func LoopDevice(t testing.TB, file string, options ...string) (node string) {
	t.Helper()
	args := append([]string{"--find", "--show"}, options...)
	out, err := exec.Command("losetup", append(args, file)...).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device to test on (it takes root and a kernel with loop): losetup: %v: %s", err, out)
	}
	node = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", node).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach: %v: %s", err, out)
		}
	})
	return node
}
