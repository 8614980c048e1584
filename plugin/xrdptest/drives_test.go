// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

// TestFoundDrives: the Server Service lists the drives that FreeRDP finds by itself, those
// that it announces to xrdp and no others. These tests have mounts of their own, in /mnt too.
func TestFoundDrives(t *testing.T) {
	needAgent(t)
	rpcclient, err := exec.LookPath("rpcclient")
	if err != nil {
		t.Skip("NOT TESTED: Samba's rpcclient is not installed (smbclient)")
	}
	mount := func(t *testing.T, path string) {
		require.NoError(t, os.MkdirAll(path, 0o700))
		require.NoError(t, unix.Mount("tmpfs", path, "tmpfs", 0, ""))
		t.Cleanup(func() {
			_ = unix.Unmount(path, unix.MNT_DETACH)
			_ = os.Remove(path)
		})
	}
	eachClient(t, func(t *testing.T, x *xrdpserver.Server, binary string) {
		for _, name := range []string{"stick", "stick/deep", "named", "two words", "a+b", "x\ny", "\xff\xfe", "\u00fcml\u00e4ut"} {
			mount(t, "/mnt/"+name)
		}
		_, s := x.Connect(t, binary, xrdpserver.Alice, "/dvc:pnpdr,srvsvc", "/drive:name,/mnt/named", "+drives")
		// What xrdp was told last: eight bytes of each name, in ASCII.
		announced := func() (names string) {
			logs, _ := filepath.Glob(xrdpserver.Root + s.Home() + "/.local/share/xrdp/xrdp-chansrv*.log")
			if len(logs) == 0 {
				return "" // the session has just begun
			}
			require.Len(t, logs, 1)
			log, err := os.ReadFile(logs[0])
			require.NoError(t, err)
			for _, m := range detected.FindAllSubmatch(log, -1) {
				names += dosName(m[1]) + " "
			}
			return names[max(0, strings.LastIndex(names, "name ")):]
		}
		s.StartAgent(t)
		listed := func() (names string) {
			out, err := exec.Command(rpcclient, "--option=ncalrpc dir="+xrdpserver.Root+s.Devices()+"/srvsvc", "-U%", "ncalrpc:", "-c", "netshareenumall").CombinedOutput()
			if err != nil {
				return "" // the agent has not made the sockets yet
			}
			for _, m := range netname.FindAllSubmatch(out, -1) {
				names += dosName(m[1]) + " "
			}
			return names
		}
		both := func(want string) {
			t.Helper()
			xrdpserver.Eventually(t, func() bool { return announced() == want }, "what FreeRDP announces: %q is %q", want, announced())
			xrdpserver.Eventually(t, func() bool { return listed() == want+"IPC_ " }, "%q is %q", want, listed())
		}
		if strings.HasPrefix(xrdpVersion(t), "0.9.") {
			t.Skip("NOT TESTED: this xrdp does not ask for drives as FreeRDP wants it")
		}
		drives := "name mnt root stick two_word a_b x_y __ __ml__ut "
		both(drives)
		mount(t, "/mnt/later")
		if !strings.HasSuffix(t.Name(), "xfreerdp2") { // which does not announce it
			drives += "later "
		}
		both(drives)
	})
}

var (
	netname  = regexp.MustCompile(`(?m)^netname: (.*)$`)
	detected = regexp.MustCompile(`Detected remote drive '([^']*)'`)
)

// dosName is what xrdp and a share have in common of a drive's name: eight bytes, without
// those that one of them does not have.
func dosName(name []byte) string {
	short := append([]byte(nil), name[:min(8, len(name))]...)
	for i, c := range short {
		if c < '0' || c > 'z' {
			short[i] = '_'
		}
	}
	return string(short)
}
