// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/hostiletest"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// TestHostileClients has an agent serve one hostile client after the other, while the
// agent of another session serves an honest one. Neither agent may grow or hang, and
// once an honest client comes, its device is there.
func TestHostileClients(t *testing.T) {
	if dir := os.Getenv(agentDir); dir != "" {
		beAgent(t, dir)
		return
	}
	calm := startProcess(t, xrdptest.New(t, newClient(t, "Scale")))
	calm.wait("Scale")
	chansrv := xrdptest.New(t, newClient(t, "Scale"))
	attacked := startProcess(t, chansrv)
	attacked.wait("Scale")
	before := attacked.memory()
	for _, attack := range hostiletest.Attacks {
		t.Run(attack.Name, func(t *testing.T) {
			h := hostiletest.New(attack)
			defer h.Stop()
			chansrv.Connect(nil)
			attacked.wait()
			chansrv.Connect(h)
			select {
			case <-h.Begun():
			case <-time.After(watchdog):
				t.Fatal("the attack does not begin")
			}
			for range 5 {
				attacked.use() // whatever there is
				require.Less(t, attacked.memory(), before+memoryFactor*96<<10, "KiB; %d before", before)
			}
			h.Stop()
			chansrv.Connect(nil)
			attacked.wait()
			chansrv.Connect(newClient(t, "Scale"))
			attacked.wait("Scale")
			attacked.control()
			calm.control()
		})
	}
	calm.end()
	attacked.end()
}

const agentDir = "PNPDR_TEST_AGENT_DIR"

// beAgent makes this process an agent.
func beAgent(t *testing.T, dir string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := newProgram(t, os.Getenv).cli
	c.stdout, c.stderr = os.Stderr, os.Stderr
	c.servers = []insession.Server{xrdp.Server{ProbeInterval: 20 * time.Millisecond, ProbeTimeout: 10 * time.Second}}
	require.Equal(t, exitOK, c.run(ctx, []string{"--dir", dir}))
}

// process is an agent in a session of the fake server.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
}

func startProcess(t *testing.T, f *xrdptest.Chansrv) *process {
	t.Helper()
	return startIn(t, f, filepath.Join(t.TempDir(), "pnpdr"))
}

func startIn(t *testing.T, f *xrdptest.Chansrv, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{
		t:   t,
		dir: dir,
		cmd: exec.Command(self, "-test.run", "^TestHostileClients$", "-test.timeout", "0"),
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	p.cmd.Env = append(os.Environ(), agentDir+"="+p.dir)
	for _, key := range []string{"XRDP_SESSION", "XRDP_SOCKET_PATH", "DISPLAY"} {
		p.cmd.Env = append(p.cmd.Env, key+"="+f.Env(key))
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("agent:\n%s", b[max(0, len(b)-4000):])
		}
	})
	return p
}

// wait waits until these devices are there and no other.
func (p *process) wait(names ...string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		found, _ := filepath.Glob(filepath.Join(p.dir, "*", "info.json"))
		for i := range found {
			found[i] = filepath.Base(filepath.Dir(found[i]))
		}
		return slices.Equal(found, names)
	}, watchdog, 5*time.Millisecond, "there are others than %v", names)
}

// memory is the resident set in KiB.
func (p *process) memory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(p.t, m, "the agent has ended")
	kib, err := strconv.Atoi(string(m[1]))
	require.NoError(p.t, err)
	return kib
}

// use has programs open, read and write what there is, until they are killed.
func (p *process) use() {
	_ = exec.Command("timeout", "-s", "KILL", "0.1", "sh", "-c",
		`cd "$0" && for f in $(ls -d */data */tty | head -n 20); do head -c 10 <"$f" & printf x | dd of="$f" conv=nocreat,notrunc & done
		ls -lR */storage | head -n 100 & df */storage & cat */storage/*/* | head -c 10000 &
		perl -MIO::Socket::UNIX -e 'for (glob("*/socket */srvsvc */EPMAPPER")) {
			$s = IO::Socket::UNIX->new($_) or next;
			syswrite($s, "\5\0\13\3\20\0\0\0\110\0" . "\0" x 62);
			sysread($s, $b, 100);
		}' &
		wait`, p.dir).Run()
}

// control asks the device of an honest client over the device's socket.
func (p *process) control() {
	p.t.Helper()
	c := p.connect()
	defer c.conn.Close()
	require.Zero(p.t, c.request(loopback.IOCTL_ECHO, []byte("echo")))
}

// control is a connection to the control socket of an honest client's device.
type control struct {
	t    *testing.T
	conn net.Conn
}

func (p *process) connect() *control {
	p.t.Helper()
	c, err := net.Dial("unixpacket", filepath.Join(p.dir, "Scale", "control"))
	require.NoError(p.t, err)
	p.t.Cleanup(func() { c.Close() })
	require.NoError(p.t, c.SetDeadline(time.Now().Add(watchdog)))
	return &control{p.t, c}
}

// request makes an IOControl with id 7, as docs/agent.md describes it, whose output is as
// long as its input. It returns the result. If that is 0, the output is the input.
func (c *control) request(code uint32, in []byte) (result uint32) {
	c.t.Helper()
	var request []byte
	for _, v := range []uint32{0, 7, code, uint32(len(in))} {
		request = binary.LittleEndian.AppendUint32(request, v)
	}
	_, err := c.conn.Write(append(request, in...))
	require.NoError(c.t, err)
	reply := make([]byte, 100<<10)
	n, err := c.conn.Read(reply)
	require.NoError(c.t, err)
	require.GreaterOrEqual(c.t, n, 12)
	require.Equal(c.t, "\x00\x00\x00\x00\x07\x00\x00\x00", string(reply[:8]))
	if result = binary.LittleEndian.Uint32(reply[8:]); result == 0 {
		require.Equal(c.t, string(in), string(reply[12:n]))
	}
	return result
}

func (p *process) end() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		require.NoError(p.t, err)
	case <-time.After(watchdog):
		p.t.Fatal("the agent does not end")
	}
}
