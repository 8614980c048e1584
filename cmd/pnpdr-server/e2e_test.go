// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// build builds the package into a file of the test.
func build(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pnpdr-server")
	out, err := exec.Command("go", "build", "-tags", buildTags, "-o", file, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// program is a pnpdr-server that is running.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	stdout devtest.Output
	stderr bytes.Buffer // to be read after the end
	done   chan struct{}
}

// launch starts the program and returns when it accepts clients.
func launch(t *testing.T, binary string, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	port := filepath.Join(dir, "port")
	args = append([]string{"--listen", "127.0.0.1:0", "--port-file", port, "--timeout", servertest.Patience.String()}, args...)
	p := &program{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the tests look at the status
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("pnpdr-server:\n%s\n%s", p.stdout.String(), p.stderr.String())
		}
	})
	p.until("it does not listen", func() bool {
		number, err := os.ReadFile(port)
		p.addr = "127.0.0.1:" + strings.TrimSpace(string(number))
		return err == nil
	})
	return p
}

// until waits for the condition.
func (p *program) until(problem string, condition func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(servertest.Patience); !condition(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.done:
			p.t.Fatalf("%s: it has ended", problem)
		default:
		}
		require.True(p.t, time.Now().Before(deadline), problem)
	}
}

// says waits for a line of output that has this text, and returns what follows it.
func (p *program) says(text string) (rest string) {
	p.t.Helper()
	p.until("it does not say "+text, func() (said bool) {
		_, after, _ := strings.Cut(p.stdout.String(), text)
		rest, _, said = strings.Cut(after, "\n")
		return said
	})
	return rest
}

// status waits for the end of the program.
func (p *program) status() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(servertest.Patience):
		p.t.Fatal("the program does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

const script = `
echo A session
wait-device "Ts Fake Device"
open "Ts Fake Device" as h
write h 0 random:100K
read h 0 100K expect random:100K
start r1 ioctl h 0x222448 u32:0xFFFFFFFF 0
cancel r1
expect-error ERROR_OPERATION_ABORTED wait r1
ioctl h 0x222444 guid:{11111111-8080-425F-922A-DABF3DE3F69A}+"payload" 0
expect-event h {11111111-8080-425F-922A-DABF3DE3F69A} "payload"
wait-device disk
open disk as d
write d 8 "text"
read d 0 12 expect zero:8+"text"
shell rm disk.img
wait-gone disk
expect-error ERROR_DEVICE_NOT_CONNECTED read d 0 1
`

// TestRealSessions has the built program serve real clients.
func TestRealSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	binary := build(t)
	plugin := os.Getenv("PNPDR_PLUGIN")
	if plugin == "" {
		plugin = filepath.Join(t.TempDir(), "libpnpdr-client.so")
		require.NoError(t, servertest.BuildPlugin(plugin, buildTags))
	}
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("xfreerdp%d", major), func(t *testing.T) {
			client := servertest.ClientOptions{
				Binary:  servertest.RequireClient(t, major),
				Display: servertest.StartDisplay(t),
				Plugin:  plugin,
			}
			t.Run("script", func(t *testing.T) { testScript(t, binary, client) })
			t.Run("failing script", func(t *testing.T) { testFailingScript(t, binary, client) })
			t.Run("no script", func(t *testing.T) { testNoScript(t, binary, client) })
			t.Run("mount", func(t *testing.T) { testMount(t, binary, client) })
			t.Run("once", func(t *testing.T) { testOnce(t, binary, client) })
			t.Run("pipes", func(t *testing.T) { testPipes(t, binary, client) })
			t.Run("srvsvc", func(t *testing.T) { testSrvsvc(t, binary, client) })
			t.Run("drives", func(t *testing.T) { testDrives(t, binary, client, major) })
		})
	}
}

func testScript(t *testing.T, binary string, client servertest.ClientOptions) {
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	p := launch(t, binary, "--script", file, "--allow-shell")
	disk := filepath.Join(p.cmd.Dir, "disk.img")
	require.NoError(t, os.WriteFile(disk, make([]byte, 4096), 0o600))
	client.Addr = p.addr
	client.Args = []string{"/dvc:pnpdr,loopback,file:" + disk + ",name:disk"}
	c := servertest.StartClient(t, client)
	require.Equal(t, exitOK, p.status())
	require.Contains(t, p.stdout.String(), "17 commands, all as expected")
	require.Empty(t, p.stderr.String())
	_ = c.Wait() // the exit code tells who disconnected
}

// testFailingScript: a script that expects too much, and a client that does not
// redirect anything.
func testFailingScript(t *testing.T, binary string, client servertest.ClientOptions) {
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte("wait-device #1\nopen #1 as h\nread h 0 1 expect \"x\"\nlist\n"), 0o600))
	p := launch(t, binary, "--script", file)
	client.Addr = p.addr
	client.Args = []string{"/dvc:pnpdr,loopback"}
	servertest.StartClient(t, client)
	require.Equal(t, exitFailed, p.status())
	require.Contains(t, p.stdout.String(), "FAILED: expected \"x\": byte 0 is 0x00 instead of 0x78")
	require.NotContains(t, p.stdout.String(), "> list")

	p = launch(t, binary, "--script", file)
	client.Addr = p.addr
	client.Args, client.Plugin = nil, ""
	servertest.StartClient(t, client)
	require.Equal(t, exitFailed, p.status())
	require.Contains(t, p.stderr.String(), "/dvc:pnpdr")
}

// testNoScript: two clients at once, then one after the other, and a signal
// while the last is connected.
func testNoScript(t *testing.T, binary string, client servertest.ClientOptions) {
	p := launch(t, binary)
	client.Addr = p.addr
	client.Args = []string{"/dvc:pnpdr,loopback"}
	count := func(text string, n int) {
		t.Helper()
		p.until("it does not say "+text, func() bool { return strings.Count(p.stdout.String(), text) == n })
	}
	first := servertest.StartClient(t, client)
	count(" + #1 Ts Fake Device\n", 1)
	second := servertest.StartClient(t, client)
	count(" + #1 Ts Fake Device\n", 2)
	first.Kill()
	count(" has left\n", 1)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitOK, p.status())
	require.Equal(t, 2, strings.Count(p.stdout.String(), " has left\n"))
	_ = second.Wait()
}

func testOnce(t *testing.T, binary string, client servertest.ClientOptions) {
	p := launch(t, binary, "--once")
	client.Addr = p.addr
	client.Args = []string{"/dvc:pnpdr,loopback"}
	c := servertest.StartClient(t, client)
	p.until("no device", func() bool { return strings.Contains(p.stdout.String(), "+ #1 Ts Fake Device\n") })
	c.Kill()
	require.Equal(t, exitOK, p.status())
}
