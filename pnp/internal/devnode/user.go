// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// User returns the name and number of another process that has the node at path open, for
// people; "" if none is found. Without special rights only the user's own processes are.
func User(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if strings.HasPrefix(link, own) {
			continue
		}
		if target, err := os.Readlink(link); err != nil || target != real {
			continue
		}
		process := strings.Split(link, "/")[2]
		name, err := os.ReadFile("/proc/" + process + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), process)
	}
	return ""
}
