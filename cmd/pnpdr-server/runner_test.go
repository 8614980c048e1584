// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is a watchdog for tests, not a measure.
const patience = time.Minute

// remote is a client in memory, with a loopback device.
type remote struct {
	*client.Session
	link *memory.Link
	id   uint32 // of the loopback device
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	r := &remote{Session: client.NewSession(client.Config{})}
	r.id = r.add(t, loopback.DefaultDescription())
	r.link = memory.NewLink(r.Session)
	t.Cleanup(func() {
		r.link.Close()
		require.NoError(t, r.Close(context.Background()))
		require.Zero(t, r.Counts())
	})
	return r
}

func (r *remote) add(t *testing.T, d pnp.Description) uint32 {
	t.Helper()
	id, err := r.Add(loopback.New(d))
	require.NoError(t, err)
	return id
}

// session makes the server's end of a session that runs a script.
func session(next func() (*statement, error), opt runOptions) (*app, *devtest.Output) {
	out := new(devtest.Output)
	if opt.patience == 0 {
		opt.patience = patience
	}
	return &app{
		opt:  options{runOptions: opt},
		out:  &transcript{w: out},
		log:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		next: next,
	}, out
}

// play runs a script with the client's devices.
func (r *remote) play(t *testing.T, opt runOptions, script string) (transcript string, err error) {
	t.Helper()
	statements, err := parseScript(strings.NewReader(script))
	require.NoError(t, err)
	a, out := session(func() (*statement, error) {
		if len(statements) == 0 {
			return nil, io.EOF
		}
		st := statements[0]
		statements = statements[1:]
		return st, nil
	}, opt)
	err = a.converse(context.Background(), r.link, "client")
	return out.String(), err
}

func TestScriptOfEverything(t *testing.T) {
	r := newRemote(t)
	out, err := r.play(t, runOptions{allowShell: true}, `
		echo Everything
		wait-device "Ts Fake Device"
		wait-device wudf\lb 60
		list
		open #1 as h
		open "Ts Fake Device" as g access=0x80000000 version=5
		write h 0x100 "hello"+hex:00
		read g 256 6 expect "hello\x00"
		read g 0x100 5
		write h 1000 random:100K
		read h 1000 100K expect random:100K
		read h 1000 500
		ioctl h 0x222440 "cut here" 3 expect "cut"
		ioctl h 0x222448 u32:1 0
		expect-error ERROR_HANDLE_EOF read h 1M 1
		expect-error 0x80070070 write h 1M "x"
		expect-error ERROR_INVALID_FUNCTION ioctl h 0x222400 "" 0
		expect-error 0x80070001 ioctl h 0x222400 "" 0

		ioctl h 0x222444 guid:{11111111-8080-425F-922A-DABF3DE3F69A}+"one" 0
		ioctl h 0x222444 guid:{11111111-8080-425F-922A-DABF3DE3F69A}+"two" 0
		expect-event h {11111111-8080-425F-922A-DABF3DE3F69A} "one"
		events h 1
		events h

		start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0
		start r2 read h 0x100 5 expect "hello"
		wait r2
		cancel r1
		expect-error ERROR_OPERATION_ABORTED wait r1
		start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0
		shell echo a line; echo another
		help read
		close g
		disconnect
		list
	`)
	require.NoError(t, err, out)
	for _, want := range []string{
		"\n\n== Everything\n",
		"> wait-device wudf\\lb 60\n  #1 Ts Fake Device is here  (",
		"  1 device  (",
		"  #1 Ts Fake Device\n      hardware id     WUDF\\LB\n      interface       {2B4A9C46-658D-4AF2-A91D-1E691861706C}\n",
		"  wrote 6 bytes  (",
		"  read 5 bytes, as expected  (",
		"  \"hello\"\n",
		"  00000000  68 65 6c 6c 6f 00                                 |hello.|\n",
		"  read 102400 bytes, as expected  (",
		"  ... and 436 bytes more\n",
		"  returned 3 bytes, as expected  (",
		"  as expected: end of the device reached (ERROR_HANDLE_EOF 0x80070026)  (",
		"  event {11111111-8080-425F-922A-DABF3DE3F69A} with 3 bytes  (",
		"  1 event  (",
		"  0 events  (",
		"  as expected: cancelled (ERROR_OPERATION_ABORTED 0x800703E3)  (",
		"  a line\n  another\n",
		"  read HANDLE OFFSET LENGTH [expect DATA]\n      read once\n",
		"\n\n32 commands, all as expected\n",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "FAILED")
	require.NotContains(t, out, "echo Everything", "a heading is not a command")
}

// TestScriptFails makes each command fail in every way it can.
func TestScriptFails(t *testing.T) {
	for script, want := range map[string]string{
		`open nothing as h`:                                    `there is no device "nothing"`,
		`wait-gone nothing`:                                    `there is no device "nothing"`,
		`wait-device nothing 0`:                                "gave up after",
		`wait-gone #1 0`:                                       "#1 Ts Fake Device is still there",
		`read h 0 1`:                                           "there is no handle h",
		`close h`:                                              "there is no handle h",
		`events h`:                                             "there is no handle h",
		`wait r1`:                                              "nothing was started as r1",
		`cancel r1`:                                            "nothing was started as r1",
		`start r1 read h 0 1`:                                  "there is no handle h",
		`shell echo a`:                                         "--allow-shell",
		`help nothing`:                                         `there is no command "nothing"`,
		`expect-error ERROR_BUSY list`:                         "the command succeeded: 1 device",
		`expect-error BUSY list`:                               "BUSY is neither an HRESULT",
		`expect-error closed open nothing as h`:                "expected closed, but: there is no device",
		"open #1 as h\nopen #1 as h":                           "there is a handle h already",
		`open #1 as h mode=2`:                                  "mode=2 is not one of access=N",
		`open #1 as h share=0`:                                 "share=0: 0 is not sent",
		`open #1 as h share=4`:                                 "ERROR_INVALID_PARAMETER",
		`open #1 as h version=65536`:                           "65536 is not a number of 16 bits",
		"open #1 as h\nread h x 1":                             "x is not a number",
		"open #1 as h\nread h 0 65M":                           "too many",
		"open #1 as h\nwrite h 0 abc":                          "abc is not data",
		"open #1 as h\nread h 0 2 expect \"ab\"":               `expected "ab": byte 0 is 0x00 instead of 0x61`,
		"open #1 as h\nread h 0 1 expect hex:":                 `expected "", not hex:00`,
		"open #1 as h\nread h 0 3K expect zero:2K":             "expected 2048 bytes, not 3072 bytes",
		"open #1 as h\nwrite h 0xFFFFF \"abc\"":                "the device took 1 of 3 bytes",
		"open #1 as h\nexpect-error ERROR_BUSY read h 1M 1":    "expected ERROR_BUSY, but: end of the device reached",
		"open #1 as h\nstart a read h 0 1\nstart a read h 0 1": "nobody has waited for it",
		"open #1 as h\nioctl h 0x222444 zero:16 0\nexpect-event h {00000000-0000-0000-0000-000000000000} \"x\"": `the event has "", not "x"`,
		"open #1 as h\nioctl h 0x222444 zero:16 0\nexpect-event h {10000000-0000-0000-0000-000000000000} \"\"":  "the event is {00000000-",
	} {
		r := newRemote(t)
		// The device is there before anything else happens.
		out, err := r.play(t, runOptions{}, "wait-device #1\n"+script)
		require.ErrorIs(t, err, errFailed, "%s\n%s", script, out)
		require.Contains(t, out, "  FAILED: ", script)
		require.Contains(t, out, want, script)
		require.NotContains(t, out, "all as expected")
	}
}

// TestTimeout: the client does not answer in time. The request is cancelled,
// and this does not count as the cancellation that the script expects.
func TestTimeout(t *testing.T) {
	for _, script := range []string{
		"ioctl h 0x222448 u32:0xFFFFFFFF 0",
		"expect-error ERROR_OPERATION_ABORTED ioctl h 0x222448 u32:0xFFFFFFFF 0",
		"start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0\nwait r1",
		"events h 1",
		"wait-device nothing",
	} {
		r := newRemote(t)
		s := server.New(r.link, server.Config{})
		require.NoError(t, s.Start(context.Background()))
		require.NoError(t, s.LoggedOn())
		_, err := s.WaitDevice(context.Background(), nil)
		require.NoError(t, err)

		out := new(devtest.Output)
		run := newRunner(s, &transcript{w: out}, runOptions{patience: patience})
		run.ctx = context.Background()
		lines := newLines(strings.NewReader("open #1 as h\n" + script))
		for err == nil {
			var st *statement
			st, err = lines.next()
			require.NoError(t, err, out)
			err = run.execute(st)
			// The open is in time.
			run.opt.patience = time.Millisecond
		}
		require.ErrorIs(t, err, errFailed)
		require.Contains(t, out.String(), "FAILED: ")
		require.Contains(t, out.String(), context.DeadlineExceeded.Error())
		run.end()
		s.Close()
	}
}

// TestDevicesComeAndGo removes the device while a request is pending, and adds
// another one. Each happens when the transcript says that the script waits for
// it.
func TestDevicesComeAndGo(t *testing.T) {
	r := newRemote(t)
	steps := make(chan string)
	a, out := session(nil, runOptions{})
	a.next = func() (*statement, error) {
		line, ok := <-steps
		if !ok {
			return nil, io.EOF
		}
		return parseLine(line)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.converse(context.Background(), r.link, "client") }()

	steps <- "wait-device #1"
	steps <- "open #1 as h"
	steps <- "start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0"
	steps <- "help" // r1 was started
	r.Remove(r.id)
	steps <- "wait-gone #1"
	steps <- "expect-error ERROR_DEVICE_NOT_CONNECTED wait r1"
	steps <- "expect-error ERROR_DEVICE_NOT_CONNECTED read h 0 1"
	steps <- "close h"
	r.add(t, pnp.Description{Name: "Another", HardwareIDs: []string{`X\Y`}})
	steps <- "wait-device Another"
	steps <- `open x\y as h`
	close(steps)
	require.NoError(t, <-ended, out)
	require.Contains(t, out.String(), "  #1 Ts Fake Device has gone  (")
	require.Contains(t, out.String(), "  #2 Another is here  (")
}

// TestSessionEnds ends the session while a script waits for a request, a
// device, a job or its next line.
func TestSessionEnds(t *testing.T) {
	for _, script := range []string{
		"ioctl h 0x222448 u32:0xFFFFFFFF 0",
		"wait-device nothing",
		"wait-gone #1",
		"events h 1",
		"start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0\nwait r1",
		"",
	} {
		r := newRemote(t)
		ctx, cancel := context.WithCancel(context.Background())
		left := strings.Split(strings.TrimSpace("wait-device #1\nopen #1 as h\n"+script), "\n")
		release := make(chan struct{})
		a, out := session(func() (*statement, error) {
			if len(left) < 2 {
				cancel() // while the last line is being carried out, or before
			}
			if len(left) == 0 {
				<-release
				return nil, io.EOF
			}
			st, err := parseLine(left[0])
			left = left[1:]
			return st, err
		}, runOptions{})
		err := a.converse(ctx, r.link, "client")
		require.ErrorContains(t, err, "the session ended before the script", "%s\n%s", script, out)
		close(release)
	}
}

func TestListShowsEverything(t *testing.T) {
	container := pnp.MustGUID("{22222222-8080-425F-922A-DABF3DE3F69A}")
	caps := pnp.PNP_DEVCAPS_REMOVABLE | pnp.PNP_DEVCAPS_SURPRISEREMOVALOK | 0x100
	r := newRemote(t)
	r.Remove(r.id)
	r.add(t, pnp.Description{
		Name:          "bell \a",
		HardwareIDs:   []string{"H1", "H2"},
		CompatibleIDs: []string{"C1"},
		Interfaces:    []pnp.GUID{container},
		Container:     &container,
		Caps:          &caps,
		Optional:      true,
	})
	out, err := r.play(t, runOptions{}, "wait-device H2\nlist")
	require.NoError(t, err)
	require.Contains(t, out, `
  #2 "bell \a"
      hardware id     H1
      hardware id     H2
      compatible id   C1
      interface       {22222222-8080-425F-922A-DABF3DE3F69A}
      container       {22222222-8080-425F-922A-DABF3DE3F69A}
      capabilities    removable, surprise, 0x100
      optional        the server may decline it
`)
}

// TestTyped: a user at a terminal may make mistakes.
func TestTyped(t *testing.T) {
	r := newRemote(t)
	a, out := session(newLines(strings.NewReader("lst\nopen 1 as h\nwait-device #1\ndisconnect\n")).next, runOptions{})
	a.out.typed = true
	require.NoError(t, a.converse(context.Background(), r.link, "client"))
	require.Contains(t, out.String(), `line 1: there is no command "lst"`)
	require.Contains(t, out.String(), `there is no device "1"`)
	require.Contains(t, out.String(), "#1 Ts Fake Device is here")
	require.NotContains(t, out.String(), "wait-device #1", "the terminal shows what is typed")
}

type deaf struct{}

func (deaf) Accept(string, channels.Conn) (channels.Receiver, error) {
	return nil, channels.ErrRefused
}

func TestClientWithoutPlugin(t *testing.T) {
	link := memory.NewLink(deaf{})
	defer link.Close()
	a, _ := session(nil, runOptions{})
	err := a.converse(context.Background(), link, "client")
	require.ErrorIs(t, err, channels.ErrRefused)
	require.ErrorContains(t, err, "/dvc:pnpdr")
}
