// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// begin starts a program in the folder, and returns when it waits for the file system.
func (m *mounted) begin(name string, args ...string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = m.p.device.remote.Dir // below it is what would wait
	require.NoError(m.t, cmd.Start())
	m.t.Cleanup(func() { _ = cmd.Process.Kill() })
	// It does for so long that it is not for something else.
	for seen := 0; seen < 100; time.Sleep(time.Millisecond) {
		stack, err := os.ReadFile(fmt.Sprintf("/proc/%d/stack", cmd.Process.Pid))
		if seen++; err == nil && !bytes.Contains(stack, []byte("fuse")) {
			seen = 0
		}
	}
	return cmd
}

func ends(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	returns(t, func() { _ = cmd.Wait() })
}

// TestKilledWhileOthersWait: a program that waits until another one has its answer can be
// killed.
func TestKilledWhileOthersWait(t *testing.T) {
	before := answerTime
	answerTime = time.Hour
	defer func() { answerTime = before }()
	p := newPlayer(t)
	p.mute = true
	m := mount(t, p)
	first := m.begin("ls", folderName)
	p.waits()
	for _, args := range [][]string{{"ls", folderName}, {"df", folderName}, {"cat", folderName + "/Card_1/x"}} {
		other := m.begin(args[0], args[1:]...)
		require.NoError(t, other.Process.Kill())
		ends(t, other)
	}
	m.close()
	ends(t, first)
}

// TestSuspendedWhileListing: a program that is suspended and goes on does not notice it.
func TestSuspendedWhileListing(t *testing.T) {
	p := newPlayer(t)
	for i := range 300 {
		p.add(0, fmt.Sprintf("%04d", i), []byte{1})
	}
	m := mount(t, p)
	cmd := exec.Command("ls", folderName+"/Card_1")
	cmd.Dir = m.p.device.remote.Dir
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	for ended := false; !ended; {
		_ = cmd.Process.Signal(unix.SIGSTOP)
		_ = cmd.Process.Signal(unix.SIGCONT)
		select {
		case <-done:
			ended = true
		case <-time.After(time.Millisecond):
		}
	}
	require.Empty(t, failed.String())
	require.Equal(t, 300, bytes.Count(out.Bytes(), []byte("\n")))
}

// TestKilledWhileReplacing: a program that ends while a file is replaced, when an object is
// being deleted or sent, leaves the old content or the new.
func TestKilledWhileReplacing(t *testing.T) {
	for range 10 {
		killWhileReplacing(t)
	}
}

func killWhileReplacing(t *testing.T) {
	const sendObject, deleteObject = 0x100D, 0x100B
	for _, c := range []struct {
		renames bool
		killed  uint16
		time    int // it is the n-th time
	}{
		{true, sendObject, 1},
		{true, deleteObject, 1}, // and it is renamed
		{false, sendObject, 1},
		{false, deleteObject, 1},
		{false, sendObject, 2},
		{false, deleteObject, 2},
	} {
		p := newPlayer(t)
		p.renames = c.renames
		p.add(0, "file", []byte("old"))
		m := mount(t, p)
		d := newDirectory(m.p.device, 0x00010001, 0)
		o, errno := d.find(context.Background(), "file")
		require.Zero(t, errno)
		require.Zero(t, d.device.enterFile())
		w, err := newWriter(&file{device: d.device, parent: d, object: o})
		require.NoError(t, err)
		require.NoError(t, w.truncate(0))
		_, errno = w.Write(context.Background(), []byte("new"), 0)
		require.Zero(t, errno)
		ctx, kill := context.WithCancel(context.Background())
		times := 0
		p.set(func() {
			p.then = func(code uint16) {
				if code == c.killed {
					if times++; times == c.time {
						kill()
					}
				}
			}
		})
		_ = w.Flush(ctx)
		require.Zero(t, w.Release(ctx))
		kill()
		p.set(func() {
			whole := false
			for _, o := range p.objects {
				whole = whole || string(o.content) == "old" || string(o.content) == "new"
				if c.renames && c.killed == deleteObject {
					require.Equal(t, "file", o.name)
				}
			}
			require.True(t, whole, "%+v", c)
		})
		m.close()
	}
}
