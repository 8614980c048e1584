// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// holding keeps a device open until its handle is ended from outside: what is pending
// fails, and so does the next request.
const holding = `
wait-device "Ts Fake Device"
wait-device srvsvc
open "Ts Fake Device" as h access=0xC0000000
start w ioctl h 0x222448 u32:0xFFFFFFFF 0
shell touch opened; while [ -e opened ] && ! [ -e ended ]; do sleep 0.02; done
expect-error ERROR_DEVICE_NOT_CONNECTED wait w
expect-error ERROR_DEVICE_NOT_CONNECTED read h 0 1
open "Ts Fake Device" as again
read again 0 1
`

// testSrvsvc: through the whole chain, Samba's client sees what a client redirects, and
// handles are ended with it and with NetrFileClose.
func testSrvsvc(t *testing.T, binary string, client servertest.ClientOptions) {
	program, err := exec.LookPath("rpcclient")
	if err != nil {
		t.Skip("NOT TESTED: Samba's rpcclient is not installed (smbclient)")
	}
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte(holding), 0o600))
	for _, c := range []struct {
		name, options string
		end           func(s *service)
	}{
		{"NetrFileClose", "srvsvc", func(s *service) {
			require.EqualValues(t, 0, s.fileClose(s.fileOf("Ts Fake Device")))
			require.EqualValues(t, nerrFileIDNotFound, s.fileClose(9999))
		}},
		{"NetrSessionDel", "srvsvc", func(s *service) { s.samba(`netsessdel \\\\127.0.0.1 user`) }},
		{"read-only", "srvsvc:read-only", func(s *service) {
			require.EqualValues(t, errorAccessDenied, s.fileClose(s.fileOf("Ts Fake Device")))
			require.Contains(t, s.samba("netfileenum"), "Ts Fake Device", "it is still open")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := ncalrpcDir(t)
			p := launch(t, binary, "--ncalrpc", dir, "--pipe", "srvsvc=tcp:127.0.0.1:0", "--script", script, "--allow-shell")
			address := p.says("srvsvc is at tcp:")
			s := &service{t: t, program: program, dir: dir, address: address}
			client.Addr = p.addr
			client.Args = []string{"/dvc:pnpdr,loopback,share:folder=/srv," + c.options, "/drive:docs," + t.TempDir(), "/printer:laser,PS"}
			servertest.StartClient(t, client)
			p.until("the device is not opened", func() bool {
				_, err := os.Stat(filepath.Join(p.cmd.Dir, "opened"))
				return err == nil
			})

			shares := s.samba("netshareenumall")
			for _, share := range []string{
				"netname: docs\n\tremark:\tdrive\n", "netname: folder\n\tremark:\tfolder\n", "netname: laser\n\tremark:\tprinter PS\n",
				"netname: Ts Fake Device\n\tremark:\tloopback WUDF\\LB\n", "netname: IPC$\n",
			} {
				require.Contains(t, shares, share)
			}
			require.Contains(t, s.samba("srvinfo"), "Devices redirected by freerdp-pnpdr")
			require.Contains(t, s.samba("netfileenum"), `\Ts Fake Device`)

			c.end(s)
			if c.name == "read-only" {
				t.Run("smbtorture", func(t *testing.T) { testSmbtorture(t, address) })
				t.Run("impacket", func(t *testing.T) { testImpacket(t, address) })
				return // the script waits for ever
			}
			require.NoError(t, os.WriteFile(filepath.Join(p.cmd.Dir, "ended"), nil, 0o600))
			require.Equal(t, exitOK, p.status())
		})
	}
}

// testSmbtorture: Samba's test suite gets through the chain what it gets from the service
// itself.
func testSmbtorture(t *testing.T, address string) {
	program, err := exec.LookPath("smbtorture")
	if err != nil {
		t.Skip("NOT TESTED: smbtorture is not installed (samba-testsuite)")
	}
	out := runProgram(t, program, "--configfile=/dev/null", "-U%", binding(address), "rpc.srvsvc")
	require.Equal(t, 11, strings.Count(out, "\nsuccess: srvsvc "), out)
}

// impacketScript lists the shares with impacket.
const impacketScript = `
import sys
from impacket.dcerpc.v5 import srvs, transport
rpc = transport.DCERPCTransportFactory(sys.argv[1]).get_dce_rpc()
rpc.connect()
rpc.bind(srvs.MSRPC_UUID_SRVS)
for s in srvs.hNetrShareEnum(rpc, 1)["InfoStruct"]["ShareInfo"]["Level1"]["Buffer"]:
    print(s["shi1_netname"][:-1])
`

func testImpacket(t *testing.T, address string) {
	python := devtest.Python(t, "impacket.dcerpc.v5.srvs", "impacket with pnpdr-server", "python3-impacket")
	out := runProgram(t, python, "-c", impacketScript, binding(address))
	require.Equal(t, "docs\nfolder\nlaser\nTs Fake Device\nIPC$\n", out)
}

// binding is how both name an address.
func binding(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "ncacn_ip_tcp:" + host + "[" + port + "]"
}

// runProgram returns what a program prints, whether it succeeds or not.
func runProgram(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir() // where some leave files
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s: %v", name, err)
	}
	return string(out)
}

// service is a client's Server Service as programs at the server reach it.
type service struct {
	t            *testing.T
	program, dir string // of Samba
	address      string // of the TCP port
}

// ncalrpcDir returns a folder for --ncalrpc. That of t.TempDir has the test's name in its path,
// and Samba's programs cannot connect to a socket whose path is longer than 107 bytes.
func ncalrpcDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// samba runs Samba's rpcclient.
func (s *service) samba(command string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.program, "--option=ncalrpc dir="+s.dir, "-U%", "ncalrpc:", "-c", command).CombinedOutput()
	require.NoError(s.t, err, "%s: %s", command, out)
	return string(out)
}

const (
	errorAccessDenied  = 5
	nerrFileIDNotFound = 2314

	netrFileEnum, netrFileClose = 9, 11
)

// call makes one call, by a connection of its own to the TCP port, and returns the stub of
// the response.
func (s *service) call(opnum uint16, stub []byte) []byte {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	require.NoError(s.t, err)
	defer c.Close()
	require.NoError(s.t, c.SetDeadline(time.Now().Add(servertest.Patience)))
	exchange := func(ptype byte, body []byte) []byte {
		pdu := append([]byte{5, 0, ptype, 3, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, body...)
		binary.LittleEndian.PutUint16(pdu[8:], uint16(len(pdu)))
		_, err := c.Write(pdu)
		require.NoError(s.t, err)
		head := make([]byte, 16)
		_, err = io.ReadFull(c, head)
		require.NoError(s.t, err)
		rest := make([]byte, int(binary.LittleEndian.Uint16(head[8:]))-len(head))
		_, err = io.ReadFull(c, rest)
		require.NoError(s.t, err)
		require.Equal(s.t, ptype+map[byte]byte{0: 2, 11: 1}[ptype], head[2], "bind_ack or response")
		return rest
	}
	exchange(11, []byte("\xb8\x10\xb8\x10\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00"+
		"\xc8\x4f\x32\x4b\x70\x16\xd3\x01\x12\x78\x5a\x47\xbf\x6e\xe1\x88\x03\x00\x00\x00"+
		"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\x02\x00\x00\x00"))
	body := binary.LittleEndian.AppendUint32(nil, uint32(len(stub)))
	body = binary.LittleEndian.AppendUint16(body, 0)
	body = binary.LittleEndian.AppendUint16(body, opnum)
	return exchange(0, append(body, stub...))[8:]
}

// fileOf returns the number of the file that is open at a path with the name in it: level
// 3 of the enumeration has it 5 fields before the path.
func (s *service) fileOf(name string) uint32 {
	s.t.Helper()
	// No server name, path or user; level 3, an empty container, no limit, no resume handle.
	stub := words(0, 0, 0, 3, 3, 0x20000, 0, 0, 0xFFFFFFFF, 0)
	out := s.call(netrFileEnum, stub)
	le := binary.LittleEndian
	// Level, tag, container, entries, array, its count, and then 20 bytes for each.
	entries := int(le.Uint32(out[12:]))
	require.NotZero(s.t, entries)
	at := 24 + entries*20
	for i := range entries {
		id := le.Uint32(out[24+i*20:])
		path := ""
		for range 2 { // path and user follow in turn
			n := int(le.Uint32(out[at+8:]))
			text := ""
			for j := range n {
				text += string(rune(le.Uint16(out[at+12+2*j:])))
			}
			at = (at + 12 + 2*n + 3) &^ 3
			if path == "" {
				path = text
			}
		}
		if strings.Contains(path, name) {
			return id
		}
	}
	s.t.Fatalf("%s is not open", name)
	return 0
}

func (s *service) fileClose(id uint32) uint32 {
	s.t.Helper()
	return binary.LittleEndian.Uint32(s.call(netrFileClose, words(0, id)))
}

// words are integers on the wire.
func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
