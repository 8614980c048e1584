// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/cmd/internal/manpages"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/choose"
	"freerdp-pnpdr/pnp/present/kinds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const watchdog = time.Minute

// newClient is a client with devices of these names.
func newClient(t *testing.T, names ...string) *client.Session {
	c := client.NewSession(client.Config{})
	for _, name := range names {
		_, err := c.Add(loopback.New(pnp.Description{Name: name, HardwareIDs: []string{`WUDF\LB`}}))
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), watchdog)
		defer cancel()
		require.NoError(t, c.Close(ctx))
	})
	return c
}

// quick is a pace for tests.
var quick = pace{
	again: time.Millisecond, most: time.Second,
	refused: time.Millisecond, mostRefused: time.Hour,
	patience: watchdog,
}

// program is an agent that is running.
type program struct {
	t    *testing.T
	cli  *cli
	dir  string
	log  devtest.Output
	stop context.CancelFunc
	done chan int
}

func newProgram(t *testing.T, env func(string) string) *program {
	p := &program{t: t, dir: filepath.Join(t.TempDir(), "pnpdr"), done: make(chan int, 1)}
	p.cli = &cli{
		stdout: &p.log, stderr: &p.log, env: env, pace: quick,
		servers: []insession.Server{xrdp.Server{ProbeInterval: 20 * time.Millisecond, ProbeTimeout: watchdog}},
	}
	return p
}

// launch starts an agent in the session of f.
func launch(t *testing.T, f *xrdptest.Chansrv, args ...string) *program {
	p := newProgram(t, f.Env)
	p.start(args...)
	return p
}

func (p *program) start(args ...string) { p.startHere(append(args, "--dir", p.dir)...) }

// startHere starts the agent with its usual folder.
func (p *program) startHere(args ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() { p.done <- p.cli.run(ctx, args) }()
	p.t.Cleanup(func() {
		cancel()
		if p.t.Failed() {
			p.t.Log(p.log.String())
		}
	})
}

// status waits for the end of the agent.
func (p *program) status() int {
	p.t.Helper()
	select {
	case s := <-p.done:
		return s
	case <-time.After(watchdog):
		p.t.Fatal("the agent does not end")
		return -1
	}
}

func (p *program) until(what string, condition func() bool) {
	p.t.Helper()
	require.Eventually(p.t, condition, watchdog, 2*time.Millisecond, what)
}

func (p *program) said(line string) {
	p.t.Helper()
	p.until(line, func() bool { return strings.Contains(p.log.String(), line) })
}

// folders waits until exactly these are there.
func (p *program) folders(names ...string) {
	p.t.Helper()
	p.until(strings.Join(names, " "), func() bool {
		found, _ := filepath.Glob(filepath.Join(p.dir, "*", "info.json"))
		for i := range found {
			found[i] = filepath.Base(filepath.Dir(found[i]))
		}
		return strings.Join(found, " ") == strings.Join(names, " ")
	})
}

// ask runs list or status and returns its output.
func (p *program) ask(args ...string) (string, int) {
	return p.askHere(append(args, "--dir", p.dir)...)
}

func (p *program) askHere(args ...string) (string, int) {
	var out bytes.Buffer
	c := &cli{stdout: &out, stderr: &out, env: p.cli.env, servers: p.cli.servers}
	status := c.run(context.Background(), args)
	return out.String(), status
}

func TestAgent(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale", "Printer"))
	p := launch(t, f)
	p.folders("Printer", "Scale")
	p.said(`msg="device has come" device=Scale kind=stream folder=` + filepath.Join(p.dir, "Scale"))

	out, status := p.ask("list")
	require.Zero(t, status)
	require.Regexp(t, `^NAME +KIND +FOLDER +WITH\nScale +stream +\S+/pnpdr/Scale +\S.*\n`, out)
	out, _ = p.ask("status")
	require.Regexp(t, `^agent \d+, a client is connected since .*\n\nScale \(stream\) in \S+\n(  in part only: .*\n)?  handles: 0 open`, out)
	out, _ = p.ask("status", "--json")
	var s struct {
		Connected time.Time
		Devices   []struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &s))
	require.Len(t, s.Devices, 2)
	require.False(t, s.Connected.IsZero())

	p.stop()
	require.Equal(t, exitOK, p.status())
	entries, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1) // the lock
	out, status = p.ask("list")
	require.Equal(t, exitFailed, status)
	require.Contains(t, out, "is pnpdr-agent running")
}

// TestReconnection: the next client's devices are there soon, and the session's end ends
// the agent.
func TestReconnection(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := launch(t, f)
	p.folders("Scale")
	f.Connect(nil)
	p.folders()
	p.said("waiting for a client")
	out, _ := p.ask("list")
	require.Contains(t, out, "no client is connected")
	f.Connect(newClient(t, "Printer", "Scale"))
	p.folders("Printer", "Scale")
	f.Close()
	require.Equal(t, exitOK, p.status())
	require.Contains(t, p.log.String(), "the session has ended")
}

// TestManyReconnections: each client is served as soon as the first, however short they
// stay.
func TestManyReconnections(t *testing.T) {
	f := xrdptest.New(t, nil)
	p := newProgram(t, f.Env)
	p.cli.pace.again, p.cli.pace.most = 100*time.Millisecond, time.Hour
	p.start()
	for range 12 { // the last would take minutes
		f.Connect(newClient(t, "Scale"))
		p.folders("Scale")
		f.Connect(nil)
		p.folders()
	}
	p.stop()
	require.Equal(t, exitOK, p.status())
}

// without is a client that has none of our channels.
type without struct{ asked chan struct{} }

func (w without) Accept(string, channels.Conn) (channels.Receiver, error) {
	w.asked <- struct{}{}
	return nil, errors.New("no")
}

var _ memory.Acceptor = without{}

// TestRefused: a client without the plugin is asked less and less often.
func TestRefused(t *testing.T) {
	w := without{make(chan struct{}, 100)}
	f := xrdptest.New(t, w)
	p := launch(t, f)
	for range 8 {
		<-w.asked
	}
	p.said("is it started with /dvc:pnpdr?")
	p.said("next_try=64ms")
	out, status := p.ask("list")
	require.Zero(t, status)
	require.Contains(t, out, "no devices: the client does not redirect Plug and Play devices")
	p.stop()
	require.Equal(t, exitOK, p.status())
}

// TestRefusedAndReplaced: the next client does not wait for the last one's sake.
func TestRefusedAndReplaced(t *testing.T) {
	w := without{make(chan struct{}, 100)}
	f := xrdptest.New(t, w)
	p := newProgram(t, f.Env)
	p.cli.pace.refused = time.Hour
	p.start()
	p.said("next_try=1h0m0s")
	f.Connect(nil)
	f.Connect(newClient(t, "Scale"))
	p.folders("Scale")
	p.stop()
	require.Equal(t, exitOK, p.status())
	require.Len(t, w.asked, 1)
}

func TestChoices(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale", "Old scale", "Printer"))
	p := launch(t, f, "--only", "product=*scale", "--deny", "product=old*", "--as", "sc*=serial")
	p.said(`device=Printer`)
	p.folders("Scale")
	out, _ := p.ask("list")
	require.Contains(t, out, "serial")
	p.stop()
	require.Equal(t, exitOK, p.status())
}

// TestJSONLog: every line of the log is one object.
func TestJSONLog(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := launch(t, f, "--json-log")
	p.folders("Scale")
	p.stop()
	require.Equal(t, exitOK, p.status())
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	require.Greater(t, len(lines), 2)
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

// TestOneInstance: a second agent for the same folder says so.
func TestOneInstance(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := launch(t, f)
	p.folders("Scale")
	out, status := p.ask()
	require.Equal(t, exitFailed, status)
	require.Contains(t, out, "another program serves devices there")
	out, status = p.ask("--autostart")
	require.Equal(t, exitOK, status)
	require.Contains(t, out, "an agent is running already")

	// With --autostart, it waits for one that is about to end.
	next := newProgram(t, f.Env)
	next.dir = p.dir
	next.start("--autostart")
	p.folders("Scale")
	p.stop()
	require.Equal(t, exitOK, p.status())
	next.said("device has come")
	next.stop()
	require.Equal(t, exitOK, next.status())
}

// TestOneInstanceEnd: it ends when it is told to while it waits.
func TestOneInstanceEnd(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := launch(t, f)
	p.folders("Scale")
	next := newProgram(t, f.Env)
	next.dir = p.dir
	next.start("--autostart")
	next.stop()
	require.Equal(t, exitOK, next.status())
	p.stop()
	require.Equal(t, exitOK, p.status())
}

// TestLateSession: the agent may start before the session helper does, and does not wait
// for one for ever.
func TestLateSession(t *testing.T) {
	dir := t.TempDir()
	env := func(key string) string {
		return map[string]string{"XRDP_SESSION": "1", "XRDP_SOCKET_PATH": dir, "DISPLAY": ":10.0"}[key]
	}
	p := newProgram(t, env)
	p.start()
	p.said("waiting for a client")
	f := xrdptest.New(t, newClient(t, "Scale"))
	require.NoError(t, os.Symlink(filepath.Join(f.Env("XRDP_SOCKET_PATH"), "xrdpapi_10"), filepath.Join(dir, "xrdpapi_10")))
	p.folders("Scale")
	p.stop()
	require.Equal(t, exitOK, p.status())

	p = newProgram(t, env)
	require.NoError(t, os.Remove(filepath.Join(dir, "xrdpapi_10")))
	p.cli.pace.patience = time.Millisecond
	p.start()
	require.Equal(t, exitFailed, p.status())
	require.Contains(t, p.log.String(), "nobody serves this session")
}

func TestCommandLine(t *testing.T) {
	none := func(string) string { return "" }
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"--only x", exitUsage, `--only: rule "x": there is no "x" here`},
		{"--deny vid=x", exitUsage, `--deny: rule "vid=x": vid:`},
		{"--as x=y", exitUsage, `--as: "x=y": "y" is not one of serial`},
		{"something", exitUsage, "unknown command"},
		{"", exitFailed, "XDG_RUNTIME_DIR is not set"},
		{"list", exitFailed, "XDG_RUNTIME_DIR is not set"},
		{"--dir " + filepath.Join(t.TempDir(), "x"), exitFailed, "not in a session of this RDP server (xrdp)"},
		{"--autostart", exitOK, ""},
		{"--help", exitOK, "--only RULE"},
		{"--version", exitOK, "pnpdr-agent " + version},
	} {
		var out bytes.Buffer
		p := &cli{stdout: &out, stderr: &out, env: none, servers: []insession.Server{xrdp.Server{}}, pace: quick}
		require.Equal(t, c.status, p.run(context.Background(), strings.Fields(c.args)), c.args)
		require.Contains(t, out.String(), c.says, c.args)
	}
}

// TestTwoSessions: the agent of a user's second session has a folder of its own.
func TestTwoSessions(t *testing.T) {
	run := t.TempDir()
	session := func(name, display, device string) *program {
		f := xrdptest.New(t, newClient(t, device))
		sockets := f.Env("XRDP_SOCKET_PATH")
		// All fakes have the same display.
		own := filepath.Join(sockets, "xrdpapi_"+display)
		if _, err := os.Lstat(own); err != nil {
			require.NoError(t, os.Symlink(filepath.Join(sockets, "xrdpapi_10"), own))
		}
		env := map[string]string{"XDG_RUNTIME_DIR": run, "DISPLAY": ":" + display + ".0", "XRDP_SESSION": "1", "XRDP_SOCKET_PATH": sockets}
		p := newProgram(t, func(key string) string { return env[key] })
		p.dir = filepath.Join(run, name)
		p.startHere()
		p.folders(device)
		return p
	}
	p := session("pnpdr", "10", "Scale")
	again, status := p.askHere()
	require.Equal(t, exitFailed, status)
	require.Contains(t, again, "another program serves devices there")
	q := session("pnpdr-11", "11", "Printer")
	out, _ := q.askHere("list")
	require.Contains(t, out, "Printer")
	out, _ = p.askHere("list")
	require.Contains(t, out, "Scale")
	for _, r := range []*program{p, q} {
		r.stop()
		require.Equal(t, exitOK, r.status())
	}
}

func TestManual(t *testing.T) {
	dir := t.TempDir()
	root := newCLI().command()
	require.NoError(t, manpages.Write(root, dir))
	page, err := os.ReadFile(filepath.Join(dir, "pnpdr-agent.1"))
	require.NoError(t, err)
	for _, flags := range []*pflag.FlagSet{root.Flags(), root.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { require.Contains(t, string(page), "--"+f.Name) })
	}
	for _, key := range choose.Keys {
		require.Contains(t, string(page), key)
	}
	page, err = os.ReadFile(filepath.Join(dir, "pnpdr-agent-kinds.1"))
	require.NoError(t, err)
	for _, k := range kinds.All() {
		require.Contains(t, string(page), k.Help)
	}
	for _, name := range []string{"list", "status"} {
		require.FileExists(t, filepath.Join(dir, "pnpdr-agent-"+name+".1"))
	}
}

func TestNumbers(t *testing.T) {
	require.Equal(t, "9999 B", amount(9999))
	require.Equal(t, "10 KiB", amount(10_000))
	require.Equal(t, "4096 GiB", amount(4<<40+1))
	require.Equal(t, 1230*time.Microsecond, short(1234567))
	require.Equal(t, "a\ufffdb", clean("a\x1bb"))
	require.Equal(t, maxText, len([]rune(clean(strings.Repeat("é", 70000)))))
}
