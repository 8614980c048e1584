// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// presented is a pipe of a client that returns what it gets, presented.
func presented(t *testing.T, how func(context.Context, *present.Device) (present.Presentation, error)) (*presenttest.Pair, uint32, *present.Device, present.Presentation) {
	pair := presenttest.NewPair(t, server.Config{})
	echo, err := pipe.New(backend.Source{
		Path:        devtest.ServePipe(t, func(c io.ReadWriteCloser) { io.Copy(c, c) }),
		Description: pnp.Description{Name: "echo", HardwareIDs: []string{"X"}},
	})
	require.NoError(t, err)
	id := pair.Add(echo)
	d := pair.Device("echo", &present.Kind{Name: "pipe", Present: how})
	p, err := how(context.Background(), d)
	require.NoError(t, err)
	return pair, id, d, p
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(presenttest.Patience)))
	_, err = io.WriteString(c, "hello")
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	return c
}

// TestPresent: programs use the socket until the device goes; then nothing is left.
func TestPresent(t *testing.T) {
	for name, how := range map[string]func(context.Context, *present.Device) (present.Presentation, error){
		"socket": Present, "srvsvc": PresentService,
	} {
		t.Run(name, func(t *testing.T) {
			pair, id, d, p := presented(t, how)
			path := filepath.Join(d.Dir, name)
			dial(t, path).Close()
			c := dial(t, path)
			require.EqualValues(t, 2, d.Stats().Opened)
			pair.Client.Remove(id)
			_, err := c.Read(make([]byte, 1))
			require.Error(t, err)
			p.Close()
			entries, err := os.ReadDir(d.Dir)
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
}

// TestCannotListen: the error says where.
func TestCannotListen(t *testing.T) {
	pair, _, d, p := presented(t, Present)
	defer p.Close()
	_, err := Present(context.Background(), d)
	require.ErrorContains(t, err, d.Dir)
	_ = pair
}
