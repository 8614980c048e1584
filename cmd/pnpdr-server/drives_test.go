// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
)

// testDrives: the drives that a client finds by itself are listed, with mounts that only
// the client has.
func testDrives(t *testing.T, binary string, client servertest.ClientOptions, major int) {
	rpcclient, err := exec.LookPath("rpcclient")
	if err != nil {
		t.Skip("NOT TESTED: Samba's rpcclient is not installed (smbclient)")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: mounts of its own are refused, which take root: %v %s", err, out)
	}
	client.Wrapper = []string{"unshare", "--mount", "sh", "-c", `
		for path in /mnt /mnt/stick /mnt/stick/deep "/mnt/two words"; do
			mkdir -p "$path" && mount -t tmpfs tmpfs "$path" || exit
		done
		exec "$@"`, "sh"}
	for option, names := range map[string][3]string{
		"+drives":                        {"mnt stick two_words", "mnt stick two_words a_b_c", "mnt stick a_b_c"},
		"/drive:hotplug,DynamicDrives":   {"mnt stick two_words", "mnt stick two_words a_b_c", "mnt stick a_b_c"},
		"2 +drives":                      {"mnt stick two_words", "mnt stick two_words", "mnt stick"},
		"2 /drive:hotplug,DynamicDrives": {},
	} {
		option, of2 := strings.CutPrefix(option, "2 ")
		if of2 != (major == 2) { // which does not tell the server what is mounted later
			continue
		}
		t.Run(option, func(t *testing.T) {
			dir := ncalrpcDir(t)
			p := launch(t, binary, "--ncalrpc", dir)
			s := &service{t: t, program: rpcclient, dir: dir}
			client := client
			client.Addr = p.addr
			client.Args = []string{"/dvc:pnpdr,srvsvc", option}
			running := servertest.StartClient(t, client)
			p.says("+ #1 srvsvc")
			require.Equal(t, names[0], s.shares())
			for i, script := range []string{"mkdir '/mnt/a+b:c' && mount -t tmpfs tmpfs '/mnt/a+b:c'", "umount '/mnt/two words'"} {
				out, err := exec.Command("nsenter", "--mount", "--target", fmt.Sprint(running.Pid()), "sh", "-c", script).CombinedOutput()
				require.NoError(t, err, string(out))
				require.Equal(t, names[i+1], s.shares())
			}
		})
	}
}

var netname = regexp.MustCompile(`(?m)^netname: (.*)$`)

// shares returns the names of all shares but IPC$, which is the last.
func (s *service) shares() string {
	s.t.Helper()
	var names []string
	for _, m := range netname.FindAllStringSubmatch(s.samba("netshareenumall"), -1) {
		names = append(names, m[1])
	}
	require.Equal(s.t, "IPC$", names[len(names)-1])
	return strings.Join(names[:len(names)-1], " ")
}
