// SPDX-License-Identifier: Apache-2.0

//go:build !man

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// program starts pnpdr; it is killed when the test ends.
func program(t *testing.T, stdout, stderr *os.File, args ...string) *exec.Cmd {
	t.Helper()
	// It would ignore SIGINT if this process did, as one does that a shell has started in the
	// background. What is caught here is not ignored there.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT)
	defer signal.Stop(caught)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// endsBy sends a signal and checks that it ends the program.
func endsBy(t *testing.T, cmd *exec.Cmd, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, cmd.Process.Signal(signal))
	hung := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	require.Error(t, cmd.Wait())
	require.Equal(t, signal, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// TestFirstSignalEndsWhatHangs: pnpdr hangs in a write that nobody reads, and
// then gets one signal.
func TestFirstSignalEndsWhatHangs(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			defer r.Close()
			size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
			require.NoError(t, err)
			_, err = w.Write(bytes.Repeat([]byte("x"), size))
			require.NoError(t, err)
			cmd := program(t, w, nil, "--version")
			w.Close()
			awaitBlocked(t, cmd.Process.Pid)
			endsBy(t, cmd, signal)
		})
	}
}

// awaitBlocked waits until a thread of the process writes its standard output.
func awaitBlocked(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/task/", pid)
	write := fmt.Sprintf("%d 0x1 ", unix.SYS_WRITE)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		threads, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, thread := range threads {
			if call, _ := os.ReadFile(dir + thread.Name() + "/syscall"); strings.HasPrefix(string(call), write) {
				return
			}
		}
		require.True(t, time.Now().Before(deadline), "nothing hangs")
	}
}

// TestFirstSignalEndsMonitor, which ends no other way.
func TestFirstSignalEndsMonitor(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := program(t, nil, w, "monitor")
	w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "waiting for devices")
	endsBy(t, cmd, syscall.SIGTERM)
}
