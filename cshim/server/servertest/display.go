// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// StartDisplay starts an Xvfb on a display number that is free, for the length
// of the test, and returns its name for $DISPLAY. Without Xvfb it skips the
// test, and with -short too, which therefore starts no client.
func StartDisplay(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	path, err := exec.LookPath("Xvfb")
	if err != nil {
		t.Skip("NOT TESTED: Xvfb is not installed")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// The server tells its number on descriptor 3 once it takes clients.
	cmd := exec.Command(path, "-displayfd", "3", "-screen", "0", "800x600x24",
		"-nolisten", "tcp", "-noreset")
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatalf("start Xvfb: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := r.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb does not tell its display: %v", err)
	}
	return ":" + strings.TrimSpace(line)
}
