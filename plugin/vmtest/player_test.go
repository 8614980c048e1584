// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/image"
)

// shared makes a folder that is at the same path for QEMU. It stays: QEMU 7.2 watches the
// folders of a player that was unplugged, and crashes when they change.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("PNPDR_SHARED"), name)
	require.NoError(t, err)
	return dir
}

// appear puts a file into a folder of the host at once, with its contents.
func appear(t testing.TB, path string, content []byte) {
	t.Helper()
	aside := filepath.Join(shared(t, "aside"), "file")
	require.NoError(t, os.WriteFile(aside, content, 0o600))
	require.NoError(t, os.Rename(aside, path))
}

// ptpEvent waits for an event of the player's, and returns its code and parameter.
func (r *remote) ptpEvent(h *server.Handle) (code uint16, parameter uint32) {
	r.t.Helper()
	le := binary.LittleEndian
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	b := make([]byte, 64)
	n, err := h.IOControl(ctx, image.IOCTL_WAIT_ON_DEVICE_EVENT, nil, b)
	require.NoError(r.t, err)
	require.Equal(r.t, 16, n)
	require.Equal(r.t, uint16(4), le.Uint16(b[4:])) // an event
	return le.Uint16(b[6:]), le.Uint32(b[12:])
}

// sizes has files to send, in a packet or several, in a transfer or several.
var sizes = map[string]int{"empty": 0, "small": 1000, "packets": 1024 - 12 + 20, "large": 3<<20 + 17}

func pattern(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	return content
}

// testPlayer changes what is in QEMU's media player by the files that the agent presents,
// and looks at the other end, the player's folder, whether it is the same.
func testPlayer(t *testing.T, f *fixture) {
	folder := shared(t, "player")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "first"), []byte("first"), 0o600))
	// QEMU's player has no way to tell xhci that it has an event; ehci asks.
	plug(t, "usb-mtp", map[string]any{"bus": "ehci.0", "rootdir": folder, "desc": "card", "readonly": false})
	r := f.connect(t, "auto")
	d := r.added("QEMU filesharing")
	memory, end := r.files(d)

	require.Equal(t, "first\n", r.sh("cd $1; ls", memory))
	h := r.open(d)
	appear(t, filepath.Join(folder, "second"), []byte("second"))
	const objectAdded = 0x4002
	code, object := r.ptpEvent(h)
	require.Equal(t, uint16(objectAdded), code)
	require.NotZero(t, object)
	require.NoError(t, h.Close())
	require.Equal(t, "first\nsecond\nsecond", r.sh("cd $1; ls; cat second", memory))

	for name, size := range sizes {
		sent := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(sent, pattern(size), 0o600))
		r.sh(`cd $1; cp "$2" .; cmp "$2" "${2##*/}"; cmp "$2" "$3/${2##*/}"`, memory, sent, folder)
	}
	r.sh(`cd $1; echo other >small; [ "$(cat small)" = other ]; [ "$(cat "$2/small")" = other ]`, memory, folder)
	r.sh(`cd $1; mkdir deep; [ -d "$2/deep" ]; cp large deep; cmp large "$2/deep/large"; ! rmdir deep 2>/dev/null
		rm deep/large; [ ! -e "$2/deep/large" ]; rmdir deep; [ ! -e "$2/deep" ]`, memory, folder)
	r.sh(`cd $1; rm first large; [ ! -e "$2/large" ]`, memory, folder)
	require.Equal(t, "empty\npackets\nsecond\nsmall\n", r.sh("cd $1; ls", memory))
	end()
	r.finish()
}

// testUnplugged unplugs the player at each stage of a transfer: what waits ends, as for a
// device that is gone.
func testUnplugged(t *testing.T, f *fixture) {
	folder := shared(t, "player")
	large := filepath.Join(folder, "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 1<<30))
	r := f.connect(t, "auto")
	for name, begin := range map[string]func(p *ptp) []<-chan error{
		"events": func(p *ptp) []<-chan error {
			wait := func() (int, error) {
				return p.h.IOControl(p.ctx, image.IOCTL_WAIT_ON_DEVICE_EVENT, nil, make([]byte, 64))
			}
			return []<-chan error{pending(wait), pending(wait)}
		},
		"answer": func(p *ptp) []<-chan error {
			read := func() (int, error) { return p.h.ReadAt(p.ctx, make([]byte, 512), 0) }
			return []<-chan error{pending(read), pending(read), pending(read)}
		},
		"commands": func(p *ptp) []<-chan error {
			return []<-chan error{p.while(func() error {
				if _, err := p.h.WriteAt(p.ctx, p.command(ptpGetDeviceInfo), 0); err != nil {
					return err
				}
				for range 2 { // data and response
					if _, err := p.h.ReadAt(p.ctx, make([]byte, 1<<16), 0); err != nil {
						return err
					}
				}
				return nil
			})}
		},
		"data": func(p *ptp) []<-chan error {
			objects := u32array(p.ok(ptpGetObjectHandles, 0xFFFFFFFF, 0, 0xFFFFFFFF))
			require.Len(t, objects, 1)
			_, err := p.h.WriteAt(p.ctx, p.command(ptpGetObject, objects[0]), 0)
			require.NoError(t, err)
			read := func() error {
				_, err := p.h.ReadAt(p.ctx, make([]byte, 1<<16), 0)
				return err
			}
			return []<-chan error{p.while(read), p.while(read)}
		},
	} {
		player := plug(t, "usb-mtp", map[string]any{"rootdir": folder})
		d := r.added("QEMU filesharing")
		p := &ptp{t: t, ctx: r.ctx, h: r.open(d)}
		p.ok(ptpOpenSession, 1)
		t.Log(name)
		under := begin(p)
		player.unplug()
		for _, ended := range under {
			r.requireGone(ended)
		}
		r.removed(d)
		require.NoError(t, p.h.Close())
	}
	r.finish()
}

// while does something again and again until it fails, and returns once it has done so
// some times.
func (p *ptp) while(something func() error) <-chan error {
	p.t.Helper()
	begun := make(chan struct{})
	ended := pending(func() (int, error) {
		for n := 1; ; n++ {
			if err := something(); err != nil {
				return 0, err
			}
			if n == 10 {
				close(begun)
			}
		}
	})
	select {
	case <-begun:
	case err := <-ended:
		p.t.Fatal(err)
	}
	return ended
}
