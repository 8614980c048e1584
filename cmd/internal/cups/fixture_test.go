// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/printer"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/kinds"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// sessionsDir makes this process the backend, with another folder for /run/user, and
// impatientFor has it not wait.
const (
	sessionsDir  = "PNPDR_TEST_CUPS_SESSIONS"
	impatientFor = "PNPDR_TEST_CUPS_IMPATIENT"
)

func TestMain(m *testing.M) {
	args := os.Args[1:]
	dir := os.Getenv(sessionsDir)
	if dir == "" && len(args) > 0 {
		var listed bool // by the backend
		if dir, listed = strings.CutPrefix(args[0], sessionsDir+"="); listed {
			args = args[1:]
		} else {
			dir = ""
		}
	}
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b := New("/proc/self/exe", sessionsDir+"="+dir)
	b.sessions, b.again = dir, 20*time.Millisecond
	if os.Getenv(impatientFor) != "" {
		b.patience = 0
	}
	os.Exit(b.Run(ctx, args))
}

// patience is a watchdog.
const patience = time.Minute

// run is the backend as CUPS runs it.
type run struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr devtest.Output
	done   chan struct{}
}

// start runs the backend, with variables of the form KEY=VALUE.
func start(t *testing.T, sessions, job string, env []string, args ...string) *run {
	t.Helper()
	r := &run{t: t, cmd: exec.Command("/proc/self/exe", args...), done: make(chan struct{})}
	r.cmd.Env = append([]string{"PATH=/usr/bin:/bin", "GORACE=atexit_sleep_ms=0", sessionsDir + "=" + sessions}, env...)
	r.cmd.Stdin = strings.NewReader(job)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	require.NoError(t, r.cmd.Start())
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("%v:\n%s%s", args, r.stdout.String(), r.stderr.String())
		}
	})
	return r
}

// status waits for the end.
func (r *run) status() int {
	r.t.Helper()
	select {
	case <-r.done:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatal("the backend does not end")
		return -1
	}
}

func (r *run) says(line string) {
	r.t.Helper()
	eventually(r.t, func() bool { return strings.Contains(r.stderr.String(), line+"\n") }, line)
}

func eventually(t *testing.T, ok func() bool, what string) {
	t.Helper()
	require.Eventually(t, ok, patience, 2*time.Millisecond, what)
}

// uri is the variable for a printer of the user's who runs the test.
func uri(name string) []string {
	return []string{"DEVICE_URI=" + destination{self.name, name}.String()}
}

var self = func() user {
	u, err := lookUp(context.Background(), fmt.Sprint(os.Getuid()))
	if err != nil {
		panic(err)
	}
	return u
}()

// session is a session of the user's who runs the test, with the folder of an agent.
type session struct {
	*presenttest.Pair
	t        *testing.T
	sessions string
	dir      string
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, sessions: t.TempDir()}
	own := filepath.Join(s.sessions, fmt.Sprint(os.Getuid()))
	require.NoError(t, os.Mkdir(own, 0o700))
	s.dir = filepath.Join(own, "pnpdr")
	f, err := folder.New(s.dir, folder.Config{Table: kinds.All(), Log: presenttest.Log(t)})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	if !strings.Contains(string(mounts), " "+s.dir+"/") {
		t.Skip("NOT TESTED: printing to an agent's folder: FUSE cannot be used here")
	}
	s.Pair = presenttest.NewPair(t, server.Config{OnDevice: f.OnDevice, CancelWait: folder.CancelWait})
	return s
}

// plug plugs in a printer, and waits until it is in its folder.
func (s *session) plug(name string) (*paper, uint32) {
	s.t.Helper()
	p := &paper{desc: pnp.Description{Name: name, Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_USBPRINT}}}
	id := s.Add(p)
	info := filepath.Join(s.dir, folder.Clean(name), "info.json")
	eventually(s.t, func() bool { _, err := os.Stat(info); return err == nil }, name)
	return p, id
}

// paper is a FAKE of a USB printer, which takes a kernel with the driver usblp, and can do
// what no printer does at will.
type paper struct {
	desc pnp.Description
	id   string // IEEE 1284

	mu        sync.Mutex
	printed   []byte
	held      bool // writes are not answered
	refuse    pnp.HRESULT
	busy      bool
	waiting   []*pnp.Request
	cancelled int
}

func (p *paper) Description() *pnp.Description { return &p.desc }

func (p *paper) Open(pnp.OpenRequest) (pnp.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy {
		return nil, pnp.ERROR_BUSY
	}
	return p, nil
}

func (p *paper) Submit(r *pnp.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Op == pnp.OpIOControl && r.Code == printer.IOCTL_USBPRINT_GET_1284_ID && p.id != "":
		text := append([]byte{0, byte(len(p.id) + 2)}, p.id...)
		r.Complete(pnp.S_OK, copy(r.Out, append(text, 0)))
	case r.Op != pnp.OpWrite:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	case p.refuse != 0:
		r.Complete(p.refuse, 0)
	case p.held:
		p.waiting = append(p.waiting, r)
	default:
		p.printed = append(p.printed, r.In...)
		r.Complete(pnp.S_OK, len(r.In))
	}
}

func (p *paper) end(r *pnp.Request, result pnp.HRESULT) {
	for i, w := range p.waiting {
		if w == r || r == nil {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			w.Complete(result, 0)
			return
		}
	}
}

func (p *paper) Cancel(r *pnp.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancelled++
	p.end(r, pnp.ERROR_OPERATION_ABORTED)
}

func (p *paper) Close(released func()) {
	p.mu.Lock()
	for len(p.waiting) > 0 {
		p.end(nil, pnp.ERROR_OPERATION_ABORTED)
	}
	p.mu.Unlock()
	released()
}

// set changes what the printer does.
func (p *paper) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *paper) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.printed)
}

// holds waits until a write is not answered.
func (p *paper) holds(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.waiting) > 0
	}, "a write")
}
