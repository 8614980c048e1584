// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// TestSockets: a socket is redirected as a pipe, and the administrator's rules apply to
// its path, wherever links to it are.
func TestSockets(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(socket, link))
	for admin, denied := range map[string]bool{
		"": false,
		"[[rule]]\naction = \"deny\"\nvid = \"0403\"\n":                            false,
		"[[rule]]\naction = \"deny\"\nnode = \"" + filepath.Dir(socket) + "/*\"\n": true,
		"[[rule]]\naction = \"deny\"\nhardware-id = 'PNPDR\\PIPE'\n":               true,
		"default = \"deny\"\n": true,
		"default = \"deny\"\n[[rule]]\naction = \"allow\"\nnode = \"" + socket + "\"\n":          false,
		"[[rule]]\naction = \"allow\"\nnode = \"" + socket + "\"\n[[rule]]\naction = \"deny\"\n": false,
	} {
		m := newMachine(t)
		m.start(admin, "", "pipe:"+link, "name:pipe")
		if denied {
			require.Contains(t, m.s.summary(), "nothing is redirected; not redirected: pipe:"+link+" (the administrator denies it", admin)
			continue
		}
		require.Equal(t, "+pipe", m.event(), admin)
		h, err := m.remote.Devices()[0].Open(context.Background(), server.OpenOptions{})
		require.NoError(t, err)
		c, err := l.Accept()
		require.NoError(t, err)
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		p := make([]byte, 10)
		n, err := h.ReadAt(context.Background(), p, 0)
		require.NoError(t, err)
		require.Equal(t, "hello", string(p[:n]))
		h.Close()
		_, err = c.Read(p)
		require.Equal(t, io.EOF, err)
		c.Close()
	}
}

// TestSrvsvc: the Server Service is redirected if it is asked for by name, and the
// administrator's rules can forbid it although it has no node.
func TestSrvsvc(t *testing.T) {
	for admin, denied := range map[string]bool{
		"":              false,
		"auto = true\n": false,
		"[[rule]]\naction = \"deny\"\nvid = \"0403\"\n":                                                       false,
		"[[rule]]\naction = \"deny\"\n":                                                                       true,
		"[[rule]]\naction = \"deny\"\nhardware-id = 'PNPDR\\SRVSVC'\n":                                        true,
		"default = \"deny\"\n":                                                                                true,
		"default = \"deny\"\n[[rule]]\naction = \"allow\"\nhardware-id = 'PNPDR\\SRVSVC'\n":                   false,
		"default = \"deny\"\n[[rule]]\naction = \"allow\"\nread-only = true\nhardware-id = 'PNPDR\\SRVSVC'\n": false,
		"[[rule]]\naction = \"deny\"\nnode = \"/dev/*\"\n":                                                    false,
	} {
		m := newMachine(t)
		m.start(admin, "", "srvsvc", "hwid:OTHER", "loopback")
		if denied {
			require.Contains(t, m.s.summary(), "not redirected: srvsvc (the administrator denies it", admin)
		} else {
			require.Contains(t, m.s.summary(), "redirecting srvsvc, loopback", admin)
		}
	}
	m := newMachine(t)
	m.start("", "", "auto", "loopback")
	require.NotContains(t, m.s.summary(), "srvsvc", "not unless it is asked for")
}

// TestSessionOfDevices: a device is told of the session, with the kinds of all devices,
// and what the user wants listed.
func TestSessionOfDevices(t *testing.T) {
	var got *backend.Session
	m := newMachine(t)
	m.kinds = append(m.kinds, &backend.Kind{
		Name: "curious", Help: "a device", Description: pnp.Description{Name: "curious", HardwareIDs: []string{"X"}},
		New: func(src backend.Source) (pnp.Device, error) {
			got = src.Session
			return loopback.New(src.Description), nil
		},
	})
	m.start("", "", "loopback", "curious", "share:docs=/home/docs")
	require.Equal(t, []backend.Share{{Name: "docs", Path: "/home/docs"}}, got.Shares)
	require.Equal(t, []string{"+Ts Fake Device", "+curious"}, []string{m.event(), m.event()})
	h, err := m.remote.Devices()[0].Open(context.Background(), server.OpenOptions{})
	require.NoError(t, err)
	state := got.State()
	require.Len(t, state.Devices, 2)
	require.Equal(t, "loopback", state.Devices[0].Kind)
	require.Equal(t, "curious", state.Devices[1].Kind)
	require.Len(t, state.Handles, 1)
	require.True(t, got.EndHandle(state.Handles[0].ID))
	_, err = h.ReadAt(context.Background(), make([]byte, 1), 0)
	require.Error(t, err)
	<-h.Done()

	// Where nobody knows a session's state, there is none.
	none := newMembers(struct{ Devices }{})
	require.Empty(t, none.State().Devices)
	require.False(t, none.EndHandle(1))
}
