// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// Threads returns how many threads the process has.
func Threads(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "Threads:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
