// SPDX-License-Identifier: Apache-2.0

package xrdpserver

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

// Eventually waits until ok returns true.
func Eventually(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(servertest.Patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: "+what, args...)
		}
	}
}

// Server is a running xrdp, until the test ends.
type Server struct {
	Addr string // that clients connect to

	t       testing.TB
	display string // for the clients
	plugin  string // that they load
}

// Start starts xrdp. The clients will show what they do on a display, and load a plugin, the
// installed one if this is empty.
func Start(t testing.TB, display, plugin string) *Server {
	t.Helper()
	x := &Server{t: t, Addr: "127.0.0.1:" + tcpPort, display: display, plugin: plugin}
	t.Cleanup(func() {
		if t.Failed() {
			x.showLogs()
		}
		EndAll(t)
	})
	x.Start()
	return x
}

// Start starts the daemons again, after EndAll.
func (x *Server) Start() {
	x.t.Helper()
	for _, name := range []string{"xrdp-sesman", "xrdp"} {
		cmd := exec.Command("/usr/sbin/"+name, "--nodaemon")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: Root, Setpgid: true}
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin"}
		log, err := os.Create(Root + "/var/log/" + name + "-output.log")
		require.NoError(x.t, err)
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
		log.Close()
		require.NoError(x.t, err)
		go func() { _ = cmd.Wait() }() // it is killed in the end
	}
	Eventually(x.t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+tcpPort)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "xrdp on port %s", tcpPort)
}

func (x *Server) showLogs() {
	for _, pattern := range []string{"/var/log/xrdp*.log", "/home/*/.local/share/xrdp/*.log"} {
		names, _ := filepath.Glob(Root + pattern)
		for _, name := range names {
			b, _ := os.ReadFile(name)
			x.t.Logf("%s:\n%s", name, b[max(0, len(b)-1500):])
		}
	}
}

// Connect starts a client for a user's session, and waits for the session.
func (x *Server) Connect(t testing.TB, binary string, u User, args ...string) (*servertest.Client, *Session) {
	t.Helper()
	c := servertest.StartClient(t, servertest.ClientOptions{
		Binary:  binary,
		Addr:    x.Addr,
		Display: x.display,
		Plugin:  x.plugin,
		Args:    append([]string{"/u:" + u.Name, "/p:" + u.Name}, args...),
	})
	Eventually(t, func() bool {
		select {
		case <-c.Done():
			t.Fatal("the client ended instead of connecting")
		default:
		}
		_, err := os.Stat(Root + u.envFile())
		return err == nil
	}, "the session of %s", u.Name)
	return c, newSession(t, u)
}

// Session is a user's session.
type Session struct {
	User
	Env []string
}

func newSession(t testing.TB, u User) *Session {
	t.Helper()
	b, err := os.ReadFile(Root + u.envFile())
	require.NoError(t, err)
	s := &Session{User: u}
	for _, v := range bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		s.Env = append(s.Env, string(v))
	}
	return s
}

// Command is a program in the session. Its path is one at the server.
func (s *Session) Command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = s.Env
	cmd.Dir = s.Home()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     Root,
		Credential: &syscall.Credential{Uid: s.ID, Gid: s.ID},
		Setpgid:    true,
	}
	return cmd
}

// Process is what /proc says of a process on the server's root.
type Process struct {
	PID   int
	UID   uint32
	Name  string
	State string
}

// EachProcess calls f for all processes of the server that are not zombies.
func EachProcess(f func(Process)) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if root, err := os.Readlink(dir + "/root"); err != nil || root != Root {
			continue
		}
		p := Process{}
		p.PID, _ = strconv.Atoi(filepath.Base(dir))
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		// pid (name) state ...
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		p.Name, p.State = string(stat[open+1:end]), string(stat[end+2:end+3])
		if st, err := os.Stat(dir); err == nil {
			p.UID = st.Sys().(*syscall.Stat_t).Uid
		}
		if p.State != "Z" && p.State != "X" {
			f(p)
		}
	}
}

// EndAll kills every process of the server, and removes what they leave.
func EndAll(t testing.TB) {
	t.Helper()
	var left []string
	for end := time.Now().Add(servertest.Patience); ; time.Sleep(5 * time.Millisecond) {
		left = nil
		EachProcess(func(p Process) {
			left = append(left, fmt.Sprint(p.Name, " in state ", p.State))
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
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
		names, _ := filepath.Glob(Root + pattern)
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
