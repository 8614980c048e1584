// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
)

// patience is how long anything may take: a guard against hanging, not a measure.
const patience = time.Minute

// eventually waits until ok returns true.
func eventually(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: "+what, args...)
		}
	}
}

// xrdpServer is a running xrdp, until the test ends.
type xrdpServer struct {
	t       testing.TB
	display string // for the clients
	addr    string // that clients connect to
}

// eachClient runs test with each major version of xfreerdp, and an xrdp of its own.
func eachClient(t *testing.T, test func(t *testing.T, x *xrdpServer, binary string)) {
	need(t)
	withClients(t, []int{3, 2}, test)
}

// withClients is eachClient with some of the versions.
func withClients(t *testing.T, majors []int, test func(t *testing.T, x *xrdpServer, binary string)) {
	for _, major := range majors {
		t.Run(fmt.Sprint("xfreerdp", major), func(t *testing.T) {
			binary := servertest.RequireClient(t, major)
			test(t, startXrdp(t), binary)
		})
	}
}

func startXrdp(t testing.TB) *xrdpServer {
	t.Helper()
	x := &xrdpServer{t: t, display: servertest.StartDisplay(t), addr: "127.0.0.1:" + tcpPort}
	t.Cleanup(func() {
		if t.Failed() {
			x.showLogs()
		}
		endAll(t)
	})
	x.start()
	return x
}

// start starts the daemons.
func (x *xrdpServer) start() {
	x.t.Helper()
	for _, name := range []string{"xrdp-sesman", "xrdp"} {
		cmd := exec.Command("/usr/sbin/"+name, "--nodaemon")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: machine, Setpgid: true}
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin"}
		log, err := os.Create(machine + "/var/log/" + name + "-output.log")
		require.NoError(x.t, err)
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
		log.Close()
		require.NoError(x.t, err)
		go func() { _ = cmd.Wait() }() // it is killed in the end
	}
	eventually(x.t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+tcpPort)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "xrdp on port %s", tcpPort)
}

func (x *xrdpServer) showLogs() {
	for _, pattern := range []string{"/var/log/xrdp*.log", "/home/*/.local/share/xrdp/*.log"} {
		names, _ := filepath.Glob(machine + pattern)
		for _, name := range names {
			b, _ := os.ReadFile(name)
			x.t.Logf("%s:\n%s", name, b[max(0, len(b)-1500):])
		}
	}
}

// connect starts a client for a user's session, and waits for the session.
func (x *xrdpServer) connect(t testing.TB, binary string, u user, args ...string) (*servertest.Client, *session) {
	t.Helper()
	c := servertest.StartClient(t, servertest.ClientOptions{
		Binary:  binary,
		Addr:    x.addr,
		Display: x.display,
		Plugin:  pluginPath(),
		Args:    append([]string{"/u:" + u.name, "/p:" + u.name}, args...),
	})
	eventually(t, func() bool {
		select {
		case <-c.Done():
			t.Fatal("the client ended instead of connecting")
		default:
		}
		_, err := os.Stat(machine + u.envFile())
		return err == nil
	}, "the session of %s", u.name)
	return c, newSession(t, u)
}

// session is a user's session.
type session struct {
	user
	env []string
}

func newSession(t testing.TB, u user) *session {
	t.Helper()
	b, err := os.ReadFile(machine + u.envFile())
	require.NoError(t, err)
	s := &session{user: u}
	for _, v := range bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		s.env = append(s.env, string(v))
	}
	return s
}

// command is a program in the session. Its path is one at the server.
func (s *session) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = s.env
	cmd.Dir = s.home()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     machine,
		Credential: &syscall.Credential{Uid: s.id, Gid: s.id},
		Setpgid:    true,
	}
	return cmd
}

// process is what /proc says of a process on the server's root.
type process struct {
	pid   int
	uid   uint32
	name  string
	state string
}

// eachProcess calls f for all processes of the server that are not zombies.
func eachProcess(f func(process)) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if root, err := os.Readlink(dir + "/root"); err != nil || root != machine {
			continue
		}
		p := process{}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		// pid (name) state ...
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		p.name, p.state = string(stat[open+1:end]), string(stat[end+2:end+3])
		if st, err := os.Stat(dir); err == nil {
			p.uid = st.Sys().(*syscall.Stat_t).Uid
		}
		if p.state != "Z" && p.state != "X" {
			f(p)
		}
	}
}

// endAll kills every process of the server, and removes what they leave.
func endAll(t testing.TB) {
	t.Helper()
	var left []string
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left = nil
		eachProcess(func(p process) {
			left = append(left, fmt.Sprint(p.name, " in state ", p.state))
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		})
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("these cannot be killed: %s", strings.Join(left, ", "))
			break
		}
	}
	for _, pattern := range []string{"/run/xrdp/*", "/tmp/.X*-lock", "/tmp/.X11-unix/*", "/tmp/.xrdp/*", "/var/log/xrdp*", "/home/*/session.env", "/home/*/.local"} {
		names, _ := filepath.Glob(machine + pattern)
		for _, name := range names {
			if filepath.Base(name) == "sockdir" {
				names, _ := filepath.Glob(name + "/*")
				for _, name := range names {
					removeAll(t, name)
				}
				continue
			}
			removeAll(t, name)
		}
	}
}

func removeAll(t testing.TB, name string) {
	if err := os.RemoveAll(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing %s: %v", name, err)
	}
}
