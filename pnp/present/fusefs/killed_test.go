// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// serveEnv makes the test's binary a server to be killed: it mounts a file system at its
// value, with devices that do not answer.
const serveEnv = "PNPDR_FUSEFS_SERVE"

func TestMain(m *testing.M) {
	if path := os.Getenv(serveEnv); path != "" {
		serveToBeKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// stuckDevice opens, and never answers.
type stuckDevice struct{ pnp.Device }

func (stuckDevice) Open(pnp.OpenRequest) (pnp.Handle, error) { return stuckHandle{}, nil }

type stuckHandle struct{}

func (stuckHandle) Submit(r *pnp.Request) {
	if r.Op == pnp.OpIOControl && r.Code == pnp.IOCTL_DISK_GET_LENGTH_INFO {
		r.Out[2] = 1 // 64 KiB
		r.Complete(pnp.S_OK, 8)
	}
}
func (stuckHandle) Cancel(*pnp.Request)   {}
func (stuckHandle) Close(released func()) { released() }

func serveToBeKilled(path string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	c := client.NewSession(client.Config{})
	if _, err := c.Add(stuckDevice{loopback.New(loopback.DefaultDescription())}); err != nil {
		fail(err)
	}
	s := server.New(memory.NewLink(c), server.Config{})
	if err := s.Start(bg); err != nil {
		fail(err)
	}
	if err := s.LoggedOn(); err != nil {
		fail(err)
	}
	d, err := s.WaitDevice(bg, nil)
	if err != nil {
		fail(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	f, err := Mount(path, log)
	if err != nil {
		fail(err)
	}
	for _, kind := range []*present.Kind{streamKind, randomKind} {
		f.Add(present.NewDevice(d, kind, kind.Name, path, log, present.Options{}), Shape{Data: kind.Data})
	}
	fmt.Println("mounted")
	select {}
}

// TestKilled: after kill -9 of the process that serves a file system, no program hangs, and
// the next one mounts in the same place.
func TestKilled(t *testing.T) {
	needFUSE(t)
	path := filepath.Join(t.TempDir(), "mnt")
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "mounted\n", line)

	var programs []*program
	for _, args := range []string{
		"cat random/data", "cat stream/data", "echo text > random/data", "echo text > stream/data",
		"dd if=/dev/zero of=random/data conv=notrunc,fsync bs=4096 count=4",
		"dd if=random/data of=/dev/null bs=4096 count=1 iflag=direct",
	} {
		programs = append(programs, start(t, "sh", "-c", "cd "+path+" && echo begun && "+args))
	}
	for _, p := range programs {
		p.begun()
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for _, p := range programs {
		p.wait()
		assert.NotZero(t, p.cmd.ProcessState.ExitCode(), "%v", p.cmd.Args)
	}

	f, err := Mount(path, presenttest.Log(t))
	require.NoError(t, err)
	assert.Empty(t, run(t, "ls", path))
	require.NoError(t, closeFS(t, f))
	table, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	assert.False(t, strings.Contains(string(table), path))
}

// TestHelperWithoutAResult: a helper that says that all is well, and hands over nothing, is
// an error.
func TestHelperWithoutAResult(t *testing.T) {
	helper, err := exec.LookPath("true")
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		_, err := mountByHelper(helper, t.TempDir())
		failed <- err
	}()
	select {
	case err := <-failed:
		require.ErrorContains(t, err, "did not hand over")
	case <-time.After(presenttest.Patience):
		t.Fatal("mounting hangs")
	}
}

// TestRootMayEnter: the helper is asked to let root in where the administrator lets it, and
// only there, since it refuses otherwise. The kernel then checks the permissions.
func TestRootMayEnter(t *testing.T) {
	usual := fuseConf
	t.Cleanup(func() { fuseConf = usual })
	dir := t.TempDir()
	helper := filepath.Join(dir, "fusermount")
	require.NoError(t, os.WriteFile(helper, []byte("#!/bin/sh\necho \",$2,\"\nexit 1\n"), 0o700))
	for conf, lets := range map[string]bool{
		"":                                      false,
		"#user_allow_other\nmount_max = 1000\n": false,
		"# mounts\nuser_allow_other\n":          true,
	} {
		fuseConf = filepath.Join(dir, "fuse.conf")
		require.NoError(t, os.WriteFile(fuseConf, []byte(conf), 0o600))
		_, err := mountByHelper(helper, dir)
		require.ErrorContains(t, err, ",nosuid,")
		require.Equal(t, lets, strings.Contains(err.Error(), ",allow_other,default_permissions,"), conf)
	}
	fuseConf = filepath.Join(dir, "missing")
	_, err := mountByHelper(helper, dir)
	require.NotContains(t, err.Error(), "allow_other")
}
