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
)

var speed = flag.Bool("speed", false, "measure how fast files are fetched")

// testSpeed fetches a file from QEMU's media player with libmtp, by reads of the redirected
// device, and as a file that the agent presents, and logs how fast each was. QEMU's player
// takes no time, so what a session can carry is logged, too: reads of a device in memory.
func testSpeed(t *testing.T, f *fixture) {
	if !*speed {
		t.Skip("NOT MEASURED: it takes minutes; -speed asks for it")
	}
	if _, err := exec.LookPath("mtp-getfile"); err != nil {
		t.Skip("NOT MEASURED: mtp-getfile is not here; remove out/vm to have it fetched")
	}
	const size = 32 << 20
	folder := shared(t, "player")
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "large"), content, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "tiny"), []byte("x"), 0o600))
	plug(t, "usb-mtp", map[string]any{"rootdir": folder})
	r := f.connect(t, "loopback,auto")
	memory := r.open(r.added(fakeDevice))
	d := r.added("QEMU filesharing")
	log := func(how string, took time.Duration) {
		t.Logf("%s: %v, %.1f MiB/s", how, took.Round(time.Millisecond), size/took.Seconds()/(1<<20))
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
		begun = time.Now()
		r.sh("cd $1; cat large >/dev/null", files)
		log("presented", time.Since(begun))
		r.sh("cd $1; cmp large $2", files, filepath.Join(folder, "large"))
		end()
	}
	require.NoError(t, memory.Close())
	r.finish()
}
