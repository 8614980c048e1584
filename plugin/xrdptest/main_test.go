// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

// Variables that tell the test program where it runs.
const (
	inNamespaces = "PNPDR_XRDP_IN_NAMESPACES"
	inSession    = "PNPDR_XRDP_IN_SESSION"
)

// whyNot says why the tests of this package cannot run, or is empty.
var whyNot string

// need skips the test where it cannot run.
func need(t testing.TB) {
	t.Helper()
	if whyNot != "" {
		t.Skip("NOT TESTED: sessions of xrdp: " + whyNot)
	}
}

// TestMain runs the program again in namespaces of its own, as their first process, so
// that whatever is left ends with it. There it may change mounts as it likes.
func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv(inSession) != "":
	case os.Getenv(inNamespaces) != "":
		if err := isolate(); err != nil {
			fmt.Fprintln(os.Stderr, "in the namespaces:", err)
			os.Exit(1)
		}
	default:
		if whyNot = missing(); whyNot != "" {
			break
		}
		err := runIsolated()
		var ended *exec.ExitError
		switch {
		case err == nil:
			os.Exit(0)
		case errors.As(err, &ended):
			os.Exit(max(1, ended.ExitCode()))
		}
		whyNot = err.Error()
	}
	os.Exit(m.Run())
}

// eachClient runs test with each major version of xfreerdp, and an xrdp of its own.
func eachClient(t *testing.T, test func(t *testing.T, x *xrdpserver.Server, binary string)) {
	need(t)
	withClients(t, []int{3, 2}, test)
}

// withClients is eachClient with some of the versions.
func withClients(t *testing.T, majors []int, test func(t *testing.T, x *xrdpserver.Server, binary string)) {
	for _, major := range majors {
		t.Run(fmt.Sprint("xfreerdp", major), func(t *testing.T) {
			binary := servertest.RequireClient(t, major)
			test(t, startXrdp(t), binary)
		})
	}
}

func startXrdp(t testing.TB) *xrdpserver.Server {
	t.Helper()
	return xrdpserver.Start(t, servertest.StartDisplay(t), pluginPath())
}

func missing() string {
	if testing.Short() {
		return "real sessions are left out of -short"
	}
	if os.Geteuid() != 0 {
		return "it takes root, for namespaces and users of its own"
	}
	root := os.Getenv("PNPDR_XRDP_ROOT")
	if root == "" {
		return "PNPDR_XRDP_ROOT is not set, as the stages xrdp-... of scripts/test do"
	}
	for _, name := range []string{
		filepath.Join(root, "usr/sbin/xrdp-sesman"),
		filepath.Join(root, "usr/lib/xorg/modules/libxorgxrdp.so"),
		pluginPath(),
	} {
		if _, err := os.Stat(name); err != nil {
			return err.Error()
		}
	}
	return ""
}

// runIsolated runs the tests. An error that is not an exec.ExitError says why it could
// not.
func runIsolated() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespaces+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // the signal comes when the thread ends
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("namespaces are refused: %w", err)
	}
	return cmd.Wait()
}

// isolate prepares the namespaces that the program runs in.
func isolate() error {
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("the loopback interface: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := xrdpserver.Mount(os.Getenv("PNPDR_XRDP_ROOT")); err != nil {
		return err
	}
	// What the clients and their display leave in /tmp is not for other programs.
	if err := xrdpserver.Overlay("/tmp", "/tmp"); err != nil {
		return err
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return xrdpserver.CopyFile(self, xrdpserver.Root+"/usr/bin/inside")
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// pluginPath and agentPath are what scripts/build has made.
func pluginPath() string { return built("PNPDR_PLUGIN", "libpnpdr-client.so") }

func built(variable, name string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs(filepath.Join("../../out", name))
	if err != nil {
		return name
	}
	return path
}
