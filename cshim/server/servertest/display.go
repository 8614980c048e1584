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

// StartDisplay starts an Xvfb on a free display number for the length of the
// test, and returns its name for $DISPLAY. It skips the test if Xvfb is
// missing, and with -short, so that no client is started then.
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
	// The server writes its number to descriptor 3 when it accepts clients.
	cmd := exec.Command(path, "-displayfd", "3", "-screen", "0", "800x600x24",
		"-nolisten", "tcp", "-noreset")
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatalf("starting Xvfb: %v", err)
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
		t.Fatalf("Xvfb does not say which display it has: %v", err)
	}
	return ":" + strings.TrimSpace(line)
}
