// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/present/folder"
)

// testMount: two clients at once whose devices have the same names. Programs read from
// each what is there, and find nothing of a client that has gone.
func testMount(t *testing.T, binary string, client servertest.ClientOptions) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("there is no FUSE here: ", err)
	}
	dir := filepath.Join(t.TempDir(), "devices")
	t.Cleanup(func() {
		// If the test has failed, the program was killed.
		lock, err := folder.Claim(dir)
		require.NoError(t, err)
		lock.Release()
	})
	p := launch(t, binary, "--mount", dir, "--as", "Ts Fake*=printer")
	client.Addr = p.addr
	var images []string
	var clients []*servertest.Client
	for _, session := range []string{"1", "2"} {
		image := filepath.Join(t.TempDir(), "card.img")
		data := make([]byte, 3<<20+17)
		_, _ = rand.Read(data) // it never fails
		require.NoError(t, os.WriteFile(image, data, 0o600))
		images = append(images, image)
		client.Args = []string{"/dvc:pnpdr,file:" + image + ",loopback"}
		clients = append(clients, servertest.StartClient(t, client))
		p.until("no devices of session "+session, func() bool {
			card, err := os.Stat(filepath.Join(dir, session, "card.img", "info.json"))
			_, err2 := os.Stat(filepath.Join(dir, session, "Ts_Fake_Device", "info.json"))
			return err == nil && err2 == nil && card.Mode() == 0o600
		})
	}
	for i, session := range []string{"1", "2"} {
		data := filepath.Join(dir, session, "card.img", "data")
		out, err := exec.Command("cmp", images[i], data).CombinedOutput()
		require.NoError(t, err, string(out))
		require.NoError(t, exec.Command("dd", "if=/dev/zero", "of="+data, "bs=1k", "seek=5", "count=3", "conv=notrunc,fsync").Run())
		require.NoError(t, exec.Command("cmp", images[i], data).Run())
		st, err := os.Stat(filepath.Join(dir, session))
		require.NoError(t, err)
		require.Equal(t, os.ModeDir|0o700, st.Mode())
		report, err := folder.Query(filepath.Join(dir, session))
		require.NoError(t, err)
		require.Len(t, report.Devices, 2)
		require.Equal(t, []string{"printer", "file"}, []string{report.Devices[0].Kind, report.Devices[1].Kind})
		require.NotZero(t, report.Devices[1].Read.Bytes)
	}
	require.Error(t, exec.Command("cmp", images[0], images[1]).Run())

	// A client goes while its file is open, and the other one does not notice.
	reader := exec.Command("sh", "-c", "exec 3<\"$0\" && echo open && read line && dd bs=64k count=1 <&3 >/dev/null", filepath.Join(dir, "1", "card.img", "data"))
	in, err := reader.StdinPipe()
	require.NoError(t, err)
	out, err := reader.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, reader.Start())
	_, err = out.Read(make([]byte, 5))
	require.NoError(t, err)
	clients[0].Kill()
	p.until("the folder of session 1 is there", func() bool {
		_, err := os.Stat(filepath.Join(dir, "1"))
		return os.IsNotExist(err)
	})
	_, err = in.Write([]byte("\n"))
	require.NoError(t, err)
	require.Error(t, reader.Wait())
	require.NoError(t, exec.Command("cmp", images[1], filepath.Join(dir, "2", "card.img", "data")).Run())

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitOK, p.status())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1) // the lock
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), strings.ReplaceAll(dir, " ", `\040`))
}
