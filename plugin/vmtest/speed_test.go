// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
)

var speed = flag.Bool("speed", false, "measure how fast files are fetched")

// testSpeed fetches a file from QEMU's media player with libmtp, by reads of the redirected
// device, and as a file that the agent presents, and logs how fast each was. At 12 Mbit/s
// the bus is what takes the time. At high speed QEMU's player takes none, so what a session
// can carry is logged, too: reads of a device in memory.
func testSpeed(t *testing.T, f *fixture) {
	if !*speed {
		t.Skip("NOT MEASURED: it takes minutes; -speed asks for it")
	}
	if _, err := exec.LookPath("mtp-getfile"); err != nil {
		t.Skip("NOT MEASURED: mtp-getfile is not here; remove out/vm to have it fetched")
	}
	r := f.connect(t, "loopback,auto")
	memory := r.open(r.added(fakeDevice))
	out, err := exec.Command("modprobe", "uhci_hcd").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Run("full", func(t *testing.T) { measure(t, r, memory, "uhci.0", 4<<20) })
	t.Run("high", func(t *testing.T) { measure(t, r, memory, "usb.0", 16<<20) })
	require.NoError(t, memory.Close())
	r.finish()
}

// measure fetches a file of size bytes from a player on a bus, in each way.
func measure(t *testing.T, r *remote, memory *server.Handle, bus string, size int) {
	folder := shared(t, "player")
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "large"), content, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "tiny"), []byte("x"), 0o600))
	player := plug(t, "usb-mtp", map[string]any{"bus": bus, "rootdir": folder})
	d := r.added("QEMU filesharing")
	log := func(how string, took time.Duration) {
		t.Logf("%s: %v, %.2f MiB/s", how, took.Round(time.Millisecond), float64(size)/took.Seconds()/(1<<20))
	}
	for range 3 {
		// It takes seconds to begin, which do not count.
		listed := r.sh("mtp-files 2>/dev/null")
		fetch := func(name string) time.Duration {
			id := regexp.MustCompile(`File ID: (\d+)\s+Filename: ` + name).FindStringSubmatch(listed)
			require.NotNil(t, id, listed)
			begun := time.Now()
			got := filepath.Join(t.TempDir(), name)
			r.sh(`mtp-getfile "$1" "$2" >/dev/null 2>&1`, id[1], got)
			took := time.Since(begun)
			r.sh(`cmp "$1" "$2"`, got, filepath.Join(folder, name))
			return took
		}
		log("libmtp", fetch("large")-fetch("tiny"))

		begun := time.Now()
		for range size >> 20 {
			n, err := memory.ReadAt(r.ctx, make([]byte, 1<<20), 0)
			require.NoError(t, err)
			require.Equal(t, 1<<20, n)
		}
		log("from memory", time.Since(begun))

		p := &ptp{t: t, ctx: r.ctx, h: r.open(d)}
		p.ok(ptpOpenSession, 1)
		objects := u32array(p.ok(ptpGetObjectHandles, 0xFFFFFFFF, 0, 0xFFFFFFFF))
		for _, object := range objects {
			begun = time.Now()
			if got := p.ok(ptpGetObject, object); len(got) == size {
				log("redirected", time.Since(begun))
				require.True(t, bytes.Equal(content, got))
			}
		}
		p.ok(ptpCloseSession)
		require.NoError(t, p.h.Close())

		files, end := r.files(d)
		r.sh("cd $1; cat tiny >/dev/null", files)
		got := filepath.Join(t.TempDir(), "large")
		begun = time.Now()
		r.sh("cd $1; cat large >$2", files, got)
		log("presented", time.Since(begun))
		r.sh("cmp $1 $2", got, filepath.Join(folder, "large"))
		end()
	}
	player.unplug()
	r.removed(d)
}
