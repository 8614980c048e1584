// SPDX-License-Identifier: Apache-2.0

package ncalrpc

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/srvsvc"
	"freerdp-pnpdr/pnp/srvs"
	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/epm"

	"freerdp-pnpdr/pnp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog ends what hangs.
const watchdog = time.Minute

// folder is a Folder with a client that redirects srvsvc.
func folder(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "new")
	f, err := Listen(dir, nil)
	require.NoError(t, err)
	s := client.NewSession(client.Config{})
	link := memory.NewLink(s)
	remote := server.New(link, server.Config{})
	require.NoError(t, remote.Start(context.Background()))
	require.NoError(t, remote.LoggedOn())
	f.Follow(context.Background(), remote)
	d, err := srvsvc.New(backend.Source{Description: pnp.Description{Name: srvs.PipeName, HardwareIDs: []string{"X"}}})
	require.NoError(t, err)
	_, err = s.Add(d)
	require.NoError(t, err)
	t.Cleanup(func() {
		f.Close()
		remote.Close()
		link.Close()
		ctx, cancel := context.WithTimeout(context.Background(), watchdog)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return dir
}

// bindPDU is a bind to an interface, with authentication or without.
func bindPDU(s dcerpc.Syntax, auth []byte) []byte {
	syntax := func(s dcerpc.Syntax) []byte {
		b := slices.Clone(s.UUID[:])
		b = binary.LittleEndian.AppendUint16(b, s.Major)
		return binary.LittleEndian.AppendUint16(b, s.Minor)
	}
	b := []byte{5, 0, ptypeBind, 3, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xB8, 0x10, 0xB8, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0}
	b = append(append(append(b, syntax(s)...), syntax(dcerpc.NDR)...), auth...)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(b)))
	if len(auth) > 0 {
		binary.LittleEndian.PutUint16(b[10:], uint16(len(auth)-4-trailerSize))
	}
	return b
}

// authentication is a security trailer with 4 bytes of padding before it.
func authentication(token string) []byte {
	return append([]byte{0, 0, 0, 0, authType, authLevel, 4, 0, 1, 2, 3, 4}, token...)
}

// ask sends a PDU and returns the answer.
func ask(t *testing.T, c net.Conn, pdu []byte) []byte {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(watchdog)))
	_, err := c.Write(pdu)
	require.NoError(t, err)
	answer := make([]byte, headerSize)
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	rest := make([]byte, int(binary.LittleEndian.Uint16(answer[8:]))-headerSize)
	_, err = io.ReadFull(c, rest)
	require.NoError(t, err)
	return append(answer, rest...)
}

func dial(t *testing.T, dir, name string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, name))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestFolder: both sockets answer, for this user alone.
func TestFolder(t *testing.T) {
	dir := folder(t)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())
	mapper := dcerpc.Syntax{UUID: pnp.MustGUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), Major: 3}
	require.EqualValues(t, ptypeBindAck, ask(t, dial(t, dir, epm.Socket), bindPDU(mapper, nil))[2])
	require.EqualValues(t, ptypeBindAck, ask(t, dial(t, dir, srvs.PipeName), bindPDU(srvs.Syntax, nil))[2])

	_, err = Listen(dir, nil)
	require.Error(t, err, "it is in use")
	_, err = Listen("/dev/null/x", nil)
	require.Error(t, err)
}

// TestFolderOfOthers: a folder that others own or may write to is not used, and nothing is
// made there.
func TestFolderOfOthers(t *testing.T) {
	refused := func(dir, why string) {
		t.Helper()
		_, err := Listen(dir, nil)
		require.ErrorContains(t, err, "listening in "+dir+": "+why)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o777, 0o775, 0o702, os.ModeSticky | 0o777} {
		require.NoError(t, os.Chmod(dir, mode))
		refused(dir, "others may write to the folder (mode ")
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	f, err := Listen(dir, nil)
	require.NoError(t, err)
	f.Close()

	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can give a folder to somebody else")
	}
	require.NoError(t, os.Chown(dir, 4321, 4321))
	refused(dir, "the folder belongs to user 4321, not to you or root")
}

// TestAuthentication: that of Samba's local programs ends here; the service, which knows
// none, answers any other by itself.
func TestAuthentication(t *testing.T) {
	dir := folder(t)
	c := dial(t, dir, srvs.PipeName)
	ack := ask(t, c, bindPDU(srvs.Syntax, authentication(authToken)))
	require.EqualValues(t, ptypeBindAck, ack[2])
	at := len(ack) - trailerSize - len(authOK)
	require.EqualValues(t, len(authOK), binary.LittleEndian.Uint16(ack[10:]))
	require.Zero(t, at%4)
	require.Equal(t, []byte{authType, authLevel, 0, 0, 1, 2, 3, 4}, ack[at:at+trailerSize])
	require.Equal(t, authOK, string(ack[at+trailerSize:]))
	without := ask(t, dial(t, dir, srvs.PipeName), bindPDU(srvs.Syntax, nil))
	require.Len(t, without, at)

	// Nothing else is touched: NetrRemoteTOD.
	request := []byte{5, 0, 0, 3, 0x10, 0, 0, 0, 28, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0, 0}
	response := ask(t, c, request)
	require.EqualValues(t, 2, response[2])
	require.Zero(t, binary.LittleEndian.Uint32(response[len(response)-4:]))

	for _, token := range []string{"NTLMSSP", "NCALRPC_AUTH_TOKEX"} {
		require.EqualValues(t, 13, ask(t, dial(t, dir, srvs.PipeName), bindPDU(srvs.Syntax, authentication(token)))[2], "bind_nak")
	}
}

// FuzzWithoutAuth: whatever a program writes, what is passed on is a part of it.
func FuzzWithoutAuth(f *testing.F) {
	f.Add(bindPDU(srvs.Syntax, authentication(authToken)))
	f.Add(bindPDU(srvs.Syntax, nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		bind, trailer := withoutAuth(p)
		if bind == nil {
			return
		}
		require.Equal(t, p[16:len(bind)], bind[16:])
		require.Len(t, trailer, trailerSize+len(authOK))
	})
}
