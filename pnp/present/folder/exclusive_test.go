// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/kinds"
)

// TestSerialPort: a port can be open once only, by whichever file of its folder.
func TestSerialPort(t *testing.T) {
	const getCommStatus = 0x1B006C // IOCTL_SERIAL_GET_COMMSTATUS
	_, node := devtest.OpenPTY(t)
	port, err := serial.New(backend.Source{Path: node, Description: pnp.Description{Name: "Scale", HardwareIDs: []string{`PNPDR\SERIAL`}}})
	require.NoError(t, err)
	f := newFolder(t, Config{Table: kinds.All()})
	p := pair(t, f, port)
	waitFor(t, f, "Scale")
	dir := filepath.Join(f.Dir(), "Scale")
	eventually(t, func() bool { return exists(filepath.Join(dir, "tty")) }, "a terminal")
	run := func(script string) string {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		return string(out)
	}

	c := dial(t, filepath.Join(dir, controlName))
	c.send(requestIOControl, 1, getCommStatus, 20, "")
	kind, _, result, _ := c.next()
	require.Equal(t, []any{uint32(packetReply), pnp.S_OK}, []any{kind, result})
	run("cat tty") // a pseudo terminal hangs up; with /dev/cuse, the open fails
	eventually(t, func() bool { return f.Devices()[0].Failed > 0 }, "the terminal is refused")
	if f.files != nil {
		require.Contains(t, run("cat data"), "Permission denied")
	}
	require.NoError(t, c.conn.Close())
	eventually(t, func() bool { return p.Client.Counts().Handles == 0 }, "the port is closed")

	program := exec.Command("sh", "-c", "exec 3<>tty && exec sleep 1000")
	program.Dir = dir
	require.NoError(t, program.Start())
	defer func() { _ = program.Process.Kill(); _ = program.Wait() }()
	eventually(t, func() bool { return f.Devices()[0].Open == 1 }, "the port is open")
	c = dial(t, filepath.Join(dir, controlName))
	c.send(requestIOControl, 2, getCommStatus, 20, "")
	c.want(2, pnp.ERROR_ACCESS_DENIED, "")
	if f.files != nil {
		require.Contains(t, run("cat data"), "Permission denied")
	}
}
