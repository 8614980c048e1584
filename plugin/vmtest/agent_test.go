// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/plugin/internal/xrdpserver"
	"freerdp-pnpdr/pnp/devtest"
)

var mountXrdp = sync.OnceValue(func() error { return xrdpserver.Mount(os.Getenv("PNPDR_XRDP_ROOT")) })

// testAgent uses devices through pnpdr-agent in a session of xrdp. They are unplugged at
// each stage of a transfer, and come back.
func testAgent(t *testing.T, f *fixture) {
	if os.Getenv("PNPDR_XRDP_ROOT") == "" {
		t.Skip("NOT TESTED: real devices in sessions of xrdp: " + cmp.Or(os.Getenv("PNPDR_NO_XRDP"), "PNPDR_XRDP_ROOT is not set"))
	}
	require.NoError(t, mountXrdp())
	xrdpserver.InstallAgent(t, os.Getenv("PNPDR_AGENT"))
	_, s := xrdpserver.Start(t, f.display, "").Connect(t, f.binary, xrdpserver.Alice, "/dvc:pnpdr,auto")
	agent := s.StartAgent(t)
	t.Run("adapter", func(t *testing.T) { useAdapter(t, s) })
	t.Run("player", func(t *testing.T) { usePlayer(t, s) })
	t.Run("responder", func(t *testing.T) { useResponder(t, s) })
	require.NoError(t, syscall.Kill(agent.Cmd.Process.Pid, syscall.SIGTERM))
	require.NoError(t, agent.Wait(t, "it was told to"), agent.Text())
	require.Empty(t, s.Mounts(t))
}

// useAdapter: what a program sets and sends reaches QEMU's serial adapter and the end of its
// line.
func useAdapter(t *testing.T, s *xrdpserver.Session) {
	adapter, line, w := plugSerial(t), openLine(t), newWire(t)
	s.WaitFor(t, "*/tty")
	stop := w.record()
	answered := pending(func() (int, error) {
		if _, err := io.ReadFull(line, make([]byte, len("temperature\n"))); err != nil {
			return 0, err
		}
		return line.WriteString("21.5 C\n")
	})
	require.Equal(t, "21.5 C", s.Run(t, "exec 3<>$(echo */tty); stty 57600 raw -echo <&3; echo temperature >&3; head -n 1 <&3"))
	require.NoError(t, <-answered)
	stop()
	w.wait(0x40, 3, 0xC034, 0, "") // FTDI's request for this speed

	waits := begin(t, s, "exec 3<>$(echo */tty); stty raw -echo <&3; printf ready >&3; cat <&3; echo over")
	require.Equal(t, "ready", readText(t, line, 5))
	adapter.unplug()
	require.NoError(t, waits.end())
	require.Contains(t, []string{"over\n", "cat: -: Input/output error\nover\n"}, waits.said.String())
	gone(t, s)
}

// usePlayer uses QEMU's player.
func usePlayer(t *testing.T, s *xrdpserver.Session) {
	folder, content := shared(t, "player"), pattern(100_003)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "first"), content, 0o600))
	large(t, folder)
	plugIn := func() *plugged {
		p := plug(t, "usb-mtp", map[string]any{"bus": "ehci.0", "rootdir": folder, "desc": "card", "readonly": false})
		s.WaitFor(t, "*/storage/*/large")
		return p
	}
	player := plugIn()
	require.Equal(t, sha256sum(content), s.Run(t, "sha256sum <$(echo */storage/*/first)"))
	hash := s.Run(t, "head -c 70001 /dev/urandom >~/sent; cp ~/sent */storage/*; sha256sum <~/sent")
	sent, err := os.ReadFile(filepath.Join(folder, "sent"))
	require.NoError(t, err)
	require.Equal(t, hash, sha256sum(sent))
	s.Run(t, "rm */storage/*/first")
	require.NoFileExists(t, filepath.Join(folder, "first"))
	require.Equal(t, "large\nsent", s.Run(t, "ls */storage/*"))

	unplugged(t, s, fetching, (*program).inMiddle, player.unplug)
	player = plugIn()
	require.Equal(t, hash, s.Run(t, "sha256sum <$(echo */storage/*/sent)"))
	unplugged(t, s, holding, (*program).inMiddle, player.unplug)
}

// useResponder uses umtp-responder: QEMU can crash if its player is unplugged while the
// folder changes.
func useResponder(t *testing.T, s *xrdpserver.Session) {
	needResponder(t)
	folder := t.TempDir()
	large(t, folder)
	s.Run(t, "head -c 2M /dev/urandom >~/sent")
	for _, stage := range []struct {
		name, script string
		middle       func(*program) bool
	}{
		{"sends", "cd */storage/*; while cp ~/sent .; do :; done", func(*program) bool { return arriving(t, folder) }},
		{"changes", "cd */storage/*; while echo x >new && rm new; do echo middle; done", (*program).inMiddle},
	} {
		t.Run(stage.name, func(t *testing.T) {
			g := newResponder(t, folder)
			s.WaitFor(t, "*/storage/*/large")
			unplugged(t, s, stage.script, stage.middle, g.unplug)
		})
	}
}

// fetching reads a file, and holding just has it open when its device is unplugged.
const (
	fetching = "exec 3<$(echo */storage/*/large); head -c 64K <&3 >/dev/null; echo middle; cat <&3 >/dev/null"
	holding  = "exec 3<$(echo */storage/*/large); echo middle; while [ -e */storage ]; do sleep 0.1; done; cat <&3 >/dev/null"
)

// large puts a file into a player's folder that takes longer than any test.
func large(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, "large")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<30))
}

// arriving reports whether there is a part of another file.
func arriving(t *testing.T, folder string) bool {
	t.Helper()
	list, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range list {
		if i, err := e.Info(); err == nil && e.Name() != "large" && i.Size() > 0 {
			return true
		}
	}
	return false
}

// sha256sum is what the program of this name prints.
func sha256sum(b []byte) string { return fmt.Sprintf("%x  -", sha256.Sum256(b)) }

// unplugged unplugs the device while a script uses it. The script then says that the device is
// gone, and so is its folder.
func unplugged(t *testing.T, s *xrdpserver.Session, script string, middle func(*program) bool, unplug func()) {
	t.Helper()
	p := begin(t, s, script)
	waitFor(t, "the middle", func() bool { return middle(p) })
	unplug()
	_ = p.end()
	require.Regexp(t, "(No such device|Transport endpoint is not connected)\n$", p.said.String())
	gone(t, s)
}

// gone waits until the session has no device.
func gone(t *testing.T, s *xrdpserver.Session) {
	t.Helper()
	waitFor(t, "the end of the device's folder", func() bool { return s.Run(t, "echo *") == "*" })
}

// program is one that is running in a session, in the folder of the devices.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	said  devtest.Output
	ended <-chan error
}

func begin(t *testing.T, s *xrdpserver.Session, script string) *program {
	t.Helper()
	p := &program{t: t, cmd: s.Command("/bin/bash", "-c", "cd "+s.Devices()+" && { "+script+"\n}")}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	require.NoError(t, p.cmd.Start())
	p.ended = pending(func() (int, error) { return 0, p.cmd.Wait() })
	return p
}

func (p *program) inMiddle() bool { return strings.Contains(p.said.String(), "middle") }

// end waits until it ends.
func (p *program) end() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		p.t.Fatalf("it goes on although the device is gone: %s", p.said.String())
		return nil
	}
}
