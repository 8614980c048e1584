// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/present/presenttest"
)

// program is one that runs beside the test.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	out output
	end chan error
}

// start starts a program that must have ended when the test ends.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...), end: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	require.NoError(t, p.cmd.Start())
	go func() { p.end <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// wait waits for the end and returns the output.
func (p *program) wait() string {
	p.t.Helper()
	select {
	case <-p.end:
	case <-time.After(presenttest.Patience):
		state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stack", p.cmd.Process.Pid))
		p.t.Fatalf("%v hangs: %s", p.cmd.Args, state)
	}
	return p.out.String()
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// begun waits until the program has written something.
func (p *program) begun() {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.out.String() != "" }, presenttest.Patience, time.Millisecond)
}

// output is what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
