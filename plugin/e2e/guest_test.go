// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/wire"
)

// host is a process that has loaded the plugin: testdata/guest.c.
type host struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.Writer
	out     *bufio.Scanner
	stderr  devtest.Output
	opened  int // channels
	started int // sessions
}

// newHost starts a host that does with SIGPIPE as named, in a folder with a file
// "image". It has no FreeRDP, so the plugin logs to its stderr, which is the
// host's stderr unless another is named.
func newHost(t *testing.T, sigpipe string, stderr io.Writer) *host {
	t.Helper()
	flags, err := exec.Command("pkg-config", "--cflags", headers).Output()
	require.NoError(t, err)
	dir := t.TempDir()
	program := filepath.Join(dir, "guest")
	args := []string{"-Wall", "-Wextra", "-Werror", "-o", program, "testdata/guest.c"}
	args = append(args, strings.Fields(strings.ReplaceAll(string(flags), "-I", "-isystem"))...)
	out, err := exec.Command("cc", append(args, "-ldl", "-lpthread")...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "image"), []byte("contents"), 0o600))

	h := &host{t: t, cmd: exec.Command(program)}
	h.cmd.Dir = dir
	h.cmd.Env = append(os.Environ(), "HOST_SIGPIPE="+sigpipe, "HOST=guest")
	if h.cmd.Stderr = stderr; stderr == nil {
		h.cmd.Stderr = &h.stderr
	}
	h.in, err = h.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	h.out = bufio.NewScanner(stdout)
	h.out.Buffer(nil, 1<<20)
	require.NoError(t, h.cmd.Start())
	hung := time.AfterFunc(servertest.Patience, func() { _ = h.cmd.Process.Kill() })
	t.Cleanup(func() {
		hung.Stop()
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		if t.Failed() {
			t.Log(h.stderr.String())
		}
	})
	return h
}

// do has the host obey a command, and returns the lines that it answers.
func (h *host) do(format string, args ...any) (lines []string) {
	h.t.Helper()
	_, err := fmt.Fprintf(h.in, format+"\n", args...)
	require.NoError(h.t, err)
	for h.out.Scan() {
		if h.out.Text() == "." {
			return lines
		}
		lines = append(lines, h.out.Text())
	}
	h.t.Fatalf("the host has ended instead of obeying %q: %v", fmt.Sprintf(format, args...), h.out.Err())
	return nil
}

// look returns what the process is like.
func (h *host) look() map[string]string {
	h.t.Helper()
	facts := make(map[string]string)
	for _, line := range h.do("look") {
		key, value, _ := strings.Cut(line, " ")
		facts[key] = value
	}
	require.Greater(h.t, len(facts), 200)
	return facts
}

// start begins a session and returns its number, and that of its PNPDR channel,
// over which its devices have been announced.
func (h *host) start(options string, devices int) (session, info int) {
	h.t.Helper()
	h.do("start %s", options)
	session = h.started
	h.started++
	info = h.open(session, channels.PNPDR)
	h.send(info, wire.OurVersion.Append(nil))
	h.receive(info, wire.InfoToServer)
	h.send(info, wire.AuthenticatedClient{}.Append(nil))
	for devices > 0 {
		for range h.receive(info, wire.InfoToServer).DeviceAddition().All() {
			devices--
		}
	}
	return session, info
}

func (h *host) open(session int, name string) int {
	h.t.Helper()
	h.do("open %d %s", session, name)
	h.opened++
	return h.opened - 1
}

func (h *host) send(channel int, msg []byte) {
	h.t.Helper()
	h.do("send %d %s", channel, hex.EncodeToString(msg))
}

func (h *host) receive(channel int, from wire.Direction) wire.Message {
	h.t.Helper()
	msg, err := hex.DecodeString(h.do("wait %d", channel)[0])
	require.NoError(h.t, err)
	m, err := wire.Decode(msg, from)
	require.NoError(h.t, err)
	return m
}

func (h *host) reply(channel int, request wire.Kind) wire.Message {
	h.t.Helper()
	m, err := h.receive(channel, wire.IOToServer).ReplyTo(request)
	require.NoError(h.t, err)
	return m
}

// openDevice opens a handle of a session's device.
func (h *host) openDevice(session int, id uint32) (channel int, result pnp.HRESULT) {
	h.t.Helper()
	channel = h.open(session, channels.FileRedirectorChannel)
	h.send(channel, wire.CapabilitiesRequest{Version: wire.VersionWithCustomEvents}.Append(nil))
	h.reply(channel, wire.KindCapabilitiesRequest)
	h.send(channel, wire.CreateFileRequest{
		RequestID: 1, DeviceID: id, DwDesiredAccess: pnp.GENERIC_READ,
		DwShareMode: pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE, DwCreationDisposition: pnp.OPEN_EXISTING,
	}.Append(nil))
	return channel, h.reply(channel, wire.KindCreateFileRequest).CreateFileReply().Result
}

// changes are what the plugin, that is Go, changes of the process, and why it
// must. docs/architecture.md has the same list.
var changes = []struct{ what, why string }{
	{signals("", unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE), "a fault in Go becomes a panic, which ends in Go; one outside of it goes to the host's handler"},
	{signals("", unix.SIGURG), "how Go interrupts a goroutine"},
	{signals("default|host", unix.SIGPIPE), "a device can be a pipe, and writing to one without a reader must not end the process; unless it is ignored anyway"},
	{`signal\.\d+\.onstack [01]`, "a handler of the host's may run in a thread of Go's, whose stacks are small"},
	{`thread\.altstack [01]`, "the same, for threads that have called Go"},
	{`fd\.\d+ anon_inode:\[(eventpoll|eventfd)\] close-on-exec`, "what Go waits for descriptors with, once in a process"},
}

// signals matches the facts of signals whose handler before was as named, or any.
func signals(handler string, list ...unix.Signal) string {
	var numbers []string
	for _, s := range list {
		numbers = append(numbers, strconv.Itoa(int(s)))
	}
	if handler == "" {
		handler = ".*"
	}
	return fmt.Sprintf(`signal\.(%s)\.(handler (%s)|(flags|mask|onstack) .*)`, strings.Join(numbers, "|"), handler)
}

// requireUnchanged compares what the process was like and is.
func requireUnchanged(t *testing.T, before, now map[string]string, more ...string) {
	t.Helper()
	keys := maps.Clone(before)
	maps.Copy(keys, now)
	for _, c := range changes {
		more = append(more, c.what)
	}
	allowed := regexp.MustCompile("^((" + strings.Join(more, ")|(") + "))$")
	for key := range keys {
		was, is := before[key], now[key]
		if _, ok := before[key]; !ok { // a new descriptor
			was = is
		}
		if before[key] != now[key] && !allowed.MatchString(key+" "+was) {
			t.Errorf("%s was %q and is %q", key, before[key], now[key])
		}
	}
}

// TestGuest: the process belongs to the client, and the plugin leaves it as it
// found it.
func TestGuest(t *testing.T) {
	for _, sigpipe := range []string{"ignore", "handle", "default"} {
		t.Run("SIGPIPE "+sigpipe, func(t *testing.T) {
			h := newHost(t, sigpipe, nil)
			before := h.look()
			h.do("load %s", plugin)
			session, info := h.start("loopback file:image", 2)
			requireUnchanged(t, before, h.look(), `fd\.\d+ anon_inode:inotify close-on-exec`)

			c, result := h.openDevice(session, 2)
			require.Equal(t, pnp.S_OK, result)
			h.send(c, wire.ReadRequest{RequestID: 2, CbBytesToRead: 100}.Append(nil))
			require.Equal(t, "contents", string(h.reply(c, wire.KindReadRequest).DataReply().Data))
			requireUnchanged(t, before, h.look(), `fd\.\d+ (anon_inode:inotify|/.*/image) close-on-exec`)

			h.do("close %d", c)
			h.do("close %d", info)
			h.do("end %d", session)
			after := h.look()
			requireUnchanged(t, before, after)
			if sigpipe == "ignore" {
				require.Equal(t, before[fmt.Sprintf("signal.%d.handler", unix.SIGPIPE)], "ignored")
			}
			require.Equal(t, "1", after["threads.block"])

			// Another one finds and leaves it the same.
			session, info = h.start("loopback", 1)
			h.do("close %d", info)
			h.do("end %d", session)
			requireUnchanged(t, before, h.look())
		})
	}
}

// TestGuestWithoutStderr: Go would end a process that writes to a stderr that
// nobody reads.
func TestGuestWithoutStderr(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	r.Close()
	h := newHost(t, "handle", w)
	w.Close()
	h.do("load %s", plugin)
	session, info := h.start("loopback", 1)
	h.do("close %d", info)
	h.do("end %d", session)
	h.look()
}

// TestDescriptorsAreLeft: however many handles the servers of two sessions open,
// the process has descriptors left, all of them good for select.
func TestDescriptorsAreLeft(t *testing.T) {
	h := newHost(t, "ignore", nil)
	h.do("load %s", plugin)
	opened := 0
	for session := range 2 {
		h.start("file:image", 1)
		for {
			_, result := h.openDevice(session, 1)
			if result != pnp.S_OK {
				require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, result)
				break
			}
			opened++
		}
	}
	require.Greater(t, opened, 700)
	left, err := strconv.Atoi(h.do("fill")[0])
	require.NoError(t, err)
	require.InDelta(t, 1024/4, left, 3) // the second session watches the folder of its device
	told := func() bool { return strings.Count(h.stderr.String(), "of the 1024 that it can use") == 2 }
	require.Eventually(t, told, servertest.Patience, time.Millisecond, "once for each session")
}
