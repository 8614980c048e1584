// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/kinds"
)

// testPresented redirects a HID device with auto, and presents it on the same machine as
// another one of the kernel's: reports are the same at both ends. The copy is not
// redirected again, and goes when the original is unplugged.
func testPresented(t *testing.T, f *fixture) {
	r := f.connect(t, "loopback,auto")
	r.added(fakeDevice)
	served, err := folder.New(filepath.Join(t.TempDir(), "pnpdr"), folder.Config{Table: kinds.All()})
	require.NoError(t, err)
	defer served.Close()
	feature := "\x07" + strings.Repeat("f", 32)
	for range 3 {
		u := newUHID(t, "Odd", oddDescriptor, map[byte]string{7: feature})
		d := r.added("Odd")
		served.OnDevice(server.DeviceEvent{Device: d})
		node := ""
		waitFor(t, "the copy", func() bool {
			links, _ := filepath.Glob(filepath.Join(served.Dir(), "Odd*", "hidraw"))
			if len(links) != 1 {
				return false
			}
			node, err = os.Readlink(links[0])
			return err == nil && unix.Access(node, unix.R_OK) == nil
		})
		require.NotEqual(t, u.Node, node)
		require.NotEmpty(t, found(t, node).Excluded)

		fd, err := unix.Open(node, unix.O_RDWR|unix.O_NONBLOCK, 0)
		require.NoError(t, err)
		// The original is opened a moment later; what it sends before that is lost.
		b := make([]byte, 512)
		waitFor(t, "the first report", func() bool {
			u.Feed([]byte("\xC8\x55\x15")...)
			n, err := unix.Read(fd, b)
			return err == nil && string(b[:n]) == "\xC8\x55\x15"
		})
		u.Feed([]byte("\x0712345")...)
		waitFor(t, "another report", func() bool {
			n, err := unix.Read(fd, b)
			return err == nil && string(b[:n]) == "\x0712345"
		})
		for _, report := range []string{"\x01" + strings.Repeat("o", 300), "\x07out"} {
			_, err = unix.Write(fd, []byte(report))
			require.NoError(t, err)
			require.Equal(t, "w"+report, <-u.sent)
		}

		u.Unplug()
		r.removed(d)
		served.OnDevice(server.DeviceEvent{Device: d, Removed: true})
		waitFor(t, "the end of the copy", func() bool {
			_, err := os.Stat(node)
			return errors.Is(err, os.ErrNotExist)
		})
		_, err = unix.Read(fd, b)
		require.ErrorIs(t, err, unix.EIO)
		require.NoError(t, unix.Close(fd))
	}
	r.stillThere(fakeDevice)
	r.finish()
}
