// SPDX-License-Identifier: Apache-2.0

// Package servertest starts real clients for tests: unmodified xfreerdps, on an X
// server without a screen. Only tests import it.
package servertest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything may take before a test fails. It is generous,
// since it is a watchdog and not a measure.
const Patience = 3 * time.Minute

// FindClient returns the path of the xfreerdp of FreeRDP's major version. It
// goes by the library that a program is linked with: the names differ between
// distributions, and 2.11 cannot print its version without a display. If there
// is none, why says so in words for t.Skip.
//
// $PNPDR_XFREERDP2 and $PNPDR_XFREERDP3 name programs that are used without
// this check, such as a script that starts one with the libraries of another
// system.
func FindClient(major int) (path, why string) {
	if path := os.Getenv(fmt.Sprintf("PNPDR_XFREERDP%d", major)); path != "" {
		return path, ""
	}
	library := fmt.Sprintf("libfreerdp%d.so.%d", major, major)
	var seen []string
	for _, name := range []string{fmt.Sprintf("xfreerdp%d", major), "xfreerdp"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		libraries, err := importedLibraries(path)
		if err != nil {
			seen = append(seen, err.Error())
			continue
		}
		for _, l := range libraries {
			if l == library {
				return path, ""
			}
		}
		seen = append(seen, path+" is of another version")
	}
	why = fmt.Sprintf("NOT TESTED with FreeRDP %d: no xfreerdp of that version is installed", major)
	if len(seen) > 0 {
		why += " (" + strings.Join(seen, "; ") + ")"
	}
	return "", why
}

func importedLibraries(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	return f.ImportedLibraries()
}

// RequireClient is FindClient for tests that need the client: without it they
// are skipped.
func RequireClient(t testing.TB, major int) string {
	t.Helper()
	path, why := FindClient(major)
	if path == "" {
		t.Skip(why)
	}
	return path
}

// ClientOptions says how to start an xfreerdp.
type ClientOptions struct {
	Binary  string   // from FindClient
	Addr    string   // of the server: host:port
	Display string   // from StartDisplay; "" starts one for this client
	Plugin  string   // library to load as libpnpdr-client.so; "" is the installed one
	Args    []string // further arguments, "/dvc:pnpdr,..." for instance
	Env     []string // further NAME=value, which take precedence
	Wrapper []string // command line that starts the client: timeout, valgrind, ...

	// Preload lists libraries that must be loaded before our own, such as
	// libasan.
	Preload []string
}

// Client is a running xfreerdp. Its methods may be called from any goroutine.
type Client struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and its output is read
	err  error         // of Wait, valid after done

	mu      sync.Mutex
	stdout  bytes.Buffer  // guarded by mu
	stderr  bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced by each write
}

// stream is stdout or stderr of a client. They are kept apart since FreeRDP
// logs to both, but buffers stdout in blocks: text from stderr would end up in
// the middle of its lines.
type stream struct {
	c      *Client
	output *bytes.Buffer
}

// StartClient starts an xfreerdp. At the end of the test the process is killed
// if it still runs, and its output is logged if the test failed.
func StartClient(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	display := o.Display
	if display == "" {
		display = StartDisplay(t)
	}
	args := append([]string{}, o.Wrapper...)
	// Without the clipboard, since an xfreerdp 3 that is killed would leave a
	// FUSE mount. By itself it gives up after 15 seconds, which are not enough
	// on a machine under load.
	args = append(args, o.Binary, "/v:"+o.Addr, "/u:user", "/p:pass", "/cert:ignore",
		"/sec:tls", "/size:640x480", "/log-level:WARN", "-clipboard", fmt.Sprint("/timeout:", Patience.Milliseconds()))
	args = append(args, o.Args...)

	home := t.TempDir() // xfreerdp keeps known hosts there
	// This process's settings of FreeRDP's log are not for the client.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WLOG_") })
	env = append(env, "DISPLAY="+display, "HOME="+home, "XDG_CONFIG_HOME="+home)
	preload := append([]string{}, o.Preload...)
	if o.Plugin != "" {
		plugin, err := filepath.Abs(o.Plugin)
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, "PNPDR_PLUGIN="+plugin)
		preload = append(preload, buildPreload(t))
	}
	if len(preload) > 0 {
		env = append(env, "LD_PRELOAD="+strings.Join(preload, " "))
	}

	c := &Client{
		t:       t,
		cmd:     exec.Command(args[0], args[1:]...),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	c.cmd.Env = append(env, o.Env...)
	c.cmd.Stdout = stream{c, &c.stdout}
	c.cmd.Stderr = stream{c, &c.stderr}
	// The children of a wrapper must die with it.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = Patience
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("starting the client: %v", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		c.Kill()
		<-c.done
		if t.Failed() {
			t.Logf("%s:\n%s", o.Binary, c.Output())
		}
	})
	return c
}

// Write takes the client's output.
func (s stream) Write(b []byte) (int, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	close(s.c.changed)
	s.c.changed = make(chan struct{})
	return s.output.Write(b)
}

// Output returns what the client has printed so far, first on stdout, then on
// stderr.
func (c *Client) Output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outputLocked()
}

func (c *Client) outputLocked() string { return c.stdout.String() + c.stderr.String() }

// WaitOutput waits until the client has printed text. It fails the test if the
// client ends first.
func (c *Client) WaitOutput(text string) {
	c.t.Helper()
	timeout := time.After(Patience)
	for {
		c.mu.Lock()
		found, changed := strings.Contains(c.outputLocked(), text), c.changed
		c.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-c.done:
			if !strings.Contains(c.Output(), text) {
				c.t.Fatalf("the client ended without printing %q", text)
			}
			return
		case <-timeout:
			c.t.Fatalf("the client does not print %q", text)
		}
	}
}

// Pid returns the id of the process, the wrapper's if there is one.
func (c *Client) Pid() int { return c.cmd.Process.Pid }

// Signal sends a signal to the client and its wrapper.
func (c *Client) Signal(sig syscall.Signal) {
	select {
	case <-c.done: // the id may belong to another process by now
	default:
		_ = syscall.Kill(-c.cmd.Process.Pid, sig)
	}
}

// Stop stops the client with SIGSTOP, and returns when it has stopped.
func (c *Client) Stop() {
	c.t.Helper()
	c.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		if c.stopped() {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatal("the client does not stop")
		}
	}
}

// stopped reports whether all threads of the process have stopped.
func (c *Client) stopped() bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.Pid()))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // a thread that has ended
		}
		// pid (name) state ...
		_, after, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
		if !strings.HasPrefix(after, "T") {
			return false
		}
	}
	return true
}

// Continue lets a stopped client go on.
func (c *Client) Continue() { c.Signal(syscall.SIGCONT) }

// Kill kills the client.
func (c *Client) Kill() { c.Signal(syscall.SIGKILL) }

// Done is closed when the client has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Wait waits for the client to end and returns the result of exec.Cmd.Wait. It
// fails the test if the client does not end.
func (c *Client) Wait() error {
	c.t.Helper()
	select {
	case <-c.done:
		return c.err
	case <-time.After(Patience):
		c.t.Fatal("the client does not end")
		return nil
	}
}
