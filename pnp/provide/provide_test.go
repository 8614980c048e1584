// SPDX-License-Identifier: Apache-2.0

package provide_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/unixsock"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/provide"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func device() pnp.Device { return loopback.New(loopback.DefaultDescription()) }

// use returns a session with the provider at path, and its device.
func use(t *testing.T, path string) (*server.Session, *server.Device) {
	d := unixsock.NewDialer(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	})
	s := server.New(d, server.Config{})
	t.Cleanup(func() { s.Close(); d.Close() })
	ctx := context.Background()
	require.Eventually(t, func() bool { return s.Start(ctx) == nil }, time.Minute, 10*time.Millisecond)
	require.NoError(t, s.LoggedOn())
	dev, err := s.WaitDevice(ctx, nil)
	require.NoError(t, err)
	return s, dev
}

// TestSocket: the socket is its user's alone, replaces a stale one and nothing else, and
// goes in the end.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	stale.Close()

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- provide.Device(ctx, path, device(), quiet) }()
	_, dev := use(t, path)
	require.Equal(t, "Ts Fake Device", dev.Description().Name)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.ErrorContains(t, provide.Device(ctx, path, device(), quiet), "another process listens there")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, provide.Device(ctx, file, device(), quiet))
	require.FileExists(t, file)

	cancel()
	require.NoError(t, <-ended)
	require.NoFileExists(t, path)
}

// TestPython is the sample of docs/providers.md, which needs Python 3.8.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	path := filepath.Join(t.TempDir(), "socket")
	const sample = "docs/examples/provider.py"
	require.Less(t, strings.Count(devtest.Document(t, sample), "\n"), 100, "docs/providers.md says how short it is")
	begin := func() (kill func()) {
		cmd := exec.Command(python, "../../"+sample, path)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	}
	kill := begin()
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, time.Minute, time.Millisecond)
	kill()
	t.Cleanup(begin()) // what the first one has left is not in its way

	s, dev := use(t, path)
	require.Equal(t, &pnp.Description{
		Name: "Thermometer", HardwareIDs: []string{`EXAMPLE\Thermometer`},
	}, dev.Description())
	ctx := context.Background()
	h, err := dev.Open(ctx, server.OpenOptions{})
	require.NoError(t, err)
	other, err := dev.Open(ctx, server.OpenOptions{})
	require.NoError(t, err)
	hot := pnp.MustGUID("{5C5F2E64-9BD5-4E1A-9F3C-7F0E3A0E8B11}")
	events, cancel := s.RegisterEvent(hot)
	defer cancel()

	buf := make([]byte, 64)
	n, err := h.ReadAt(ctx, buf, 0)
	require.NoError(t, err)
	require.Equal(t, "21.5\n", string(buf[:n]))
	n, err = h.ReadAt(ctx, buf[:2], 0)
	require.NoError(t, err)
	require.Equal(t, "21", string(buf[:n]))
	_, err = h.WriteAt(ctx, []byte("hot"), 0)
	require.ErrorIs(t, err, pnp.ERROR_INVALID_PARAMETER)
	n, err = h.WriteAt(ctx, []byte("51.2"), 0)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Equal(t, hot, (<-events).GUID)
	n, err = other.IOControl(ctx, 0x00222000, nil, buf)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 2, 0, 0}, buf[:n], "512 tenths")
	_, err = other.IOControl(ctx, 0x00222004, nil, buf)
	require.ErrorIs(t, err, pnp.ERROR_INVALID_FUNCTION)
	h.Close()
	n, err = other.ReadAt(ctx, buf, 0)
	require.NoError(t, err)
	require.Equal(t, "51.2\n", string(buf[:n]))
}
