// SPDX-License-Identifier: Apache-2.0

package xrdpserver

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// InstallAgent puts the agent where sessions find it.
func InstallAgent(t testing.TB, path string) {
	t.Helper()
	require.NoError(t, CopyFile(path, Root+"/usr/bin/pnpdr-agent"))
}

// Agent is a running pnpdr-agent. It is killed at the end of the test.
type Agent struct {
	Cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // valid after done

	output devtest.Output
}

// Text is what it has printed so far.
func (a *Agent) Text() string { return a.output.String() }

// StartAgent starts an agent in the session.
func (s *Session) StartAgent(t testing.TB, args ...string) *Agent {
	t.Helper()
	a := &Agent{Cmd: s.Command("/usr/bin/pnpdr-agent", args...), done: make(chan struct{})}
	a.Cmd.Stdout, a.Cmd.Stderr = &a.output, &a.output
	require.NoError(t, a.Cmd.Start())
	go func() {
		a.err = a.Cmd.Wait()
		close(a.done)
	}()
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("pnpdr-agent:\n%s", a.Text())
		}
	})
	return a
}

// LosesClient does something that ends the client's connection, and waits until the agent
// knows: before that, its folder has devices that lead nowhere.
func (a *Agent) LosesClient(t testing.TB, end func()) {
	t.Helper()
	gone := func() int {
		return strings.Count(a.Text(), `msg="the client has gone"`) + strings.Count(a.Text(), `msg="the client redirects no devices any more"`)
	}
	before := gone()
	end()
	Eventually(t, func() bool { return gone() > before }, "that the agent notices")
}

// Kill kills it, and waits for its end.
func (a *Agent) Kill() {
	_ = a.Cmd.Process.Kill()
	<-a.done
}

// Wait waits for its end, which what gives the reason for, and returns the error of
// exec.Cmd.Wait.
func (a *Agent) Wait(t testing.TB, what string) error {
	t.Helper()
	select {
	case <-a.done:
		return a.err
	case <-time.After(servertest.Patience):
		t.Fatalf("the agent does not end: %s", what)
		return nil
	}
}

// Logout ends what xrdp takes for the window manager, and with it the session.
func (s *Session) Logout(t testing.TB) {
	t.Helper()
	ended := false
	EachProcess(func(p Process) {
		if p.UID == s.ID && p.Name == "tail" {
			ended = syscall.Kill(p.PID, syscall.SIGKILL) == nil
		}
	})
	require.True(t, ended, "nothing to log out from")
}

// Devices is the folder of the devices.
func (s *Session) Devices() string { return s.Runtime() + "/pnpdr" }

// Try runs a script in the folder of the devices. It kills one that hangs, and everything
// that it has started.
func (s *Session) Try(t testing.TB, script string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := s.Command("/bin/bash", "-c", "cd "+s.Devices()+" && { "+script+"\n}")
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return out.String(), err
	case <-time.After(servertest.Patience):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		t.Fatalf("this hangs: %s", script)
		return "", nil
	}
}

// Run is Try for a script that must not fail.
func (s *Session) Run(t testing.TB, script string) string {
	t.Helper()
	out, err := s.Try(t, script)
	require.NoError(t, err, "%s\n%s", script, out)
	return strings.TrimSuffix(out, "\n")
}

// WaitFor waits until the session sees these files.
func (s *Session) WaitFor(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		Eventually(t, func() bool {
			_, err := s.Try(t, "test -e "+name)
			return err == nil
		}, "%s", name)
	}
}

// Mounts are the file systems that are mounted below the folder of the devices.
func (s *Session) Mounts(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	var list []string
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], Root+s.Devices()) {
			list = append(list, f[1])
		}
	}
	return list
}
