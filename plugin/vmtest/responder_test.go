// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const responderConfig = `loop_on_disconnect 0
manufacturer "pnpdr"
product "Responder"
serial "A1"
firmware_version "1"
interface "MTP"
usb_vendor_id 0x1209
usb_product_id 0x0002
usb_class 0x6
usb_subclass 0x1
usb_protocol 0x1
usb_dev_version 0x0100
usb_functionfs_mode 0x1
usb_dev_path "/dev/ffs-mtp/ep0"
usb_epin_path "/dev/ffs-mtp/ep1"
usb_epout_path "/dev/ffs-mtp/ep2"
usb_epint_path "/dev/ffs-mtp/ep3"
usb_max_packet_size 0x200
`

func needResponder(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("umtprd"); err != nil {
		t.Skip("NOT TESTED: umtp-responder is not here; remove out/vm to have it fetched")
	}
}

// newResponder plugs in a media player that shows a folder: umtp-responder, an MTP of its
// own, as a USB gadget.
func newResponder(t *testing.T, folder string) *gadget {
	require.NoError(t, os.MkdirAll("/etc/umtprd", 0o755))
	config := responderConfig + `storage "` + folder + `" "card" "rw"` + "\n"
	require.NoError(t, os.WriteFile("/etc/umtprd/umtprd.conf", []byte(config), 0o600))
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	g := &gadget{t: t, dir: "/sys/kernel/config/usb_gadget/responder", udc: udcs[0].Name()}
	sh(t, `mkdir -p $1/strings/0x409 $1/configs/c.1 $1/functions/ffs.mtp /dev/ffs-mtp
		ln -s $1/functions/ffs.mtp $1/configs/c.1
		mount -t functionfs mtp /dev/ffs-mtp`, g.dir)
	g.set("idVendor", "0x1209")
	g.set("idProduct", "0x0002")
	g.set("strings/0x409/manufacturer", "pnpdr")
	g.set("strings/0x409/product", "Responder")
	responder := exec.Command("umtprd")
	require.NoError(t, responder.Start())
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(g.dir, "UDC"), []byte("\n"), 0o644)
		_ = responder.Process.Kill()
		_ = responder.Wait() // it was killed
		sh(t, `umount /dev/ffs-mtp; rm $1/configs/c.1/ffs.mtp; rmdir $1/configs/c.1 $1/functions/ffs.mtp $1/strings/0x409 $1`, g.dir)
	})
	waitFor(t, "the responder", func() bool { return unix.Access("/dev/ffs-mtp/ep3", unix.F_OK) == nil })
	g.plug()
	return g
}

// testResponder uses the files of an MTP that has nothing in common with QEMU's: those that
// are presented here, and with another client those of pnpdr-server.
func testResponder(t *testing.T, f *fixture) {
	needResponder(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "first"), []byte("first"), 0o600))
	if !f.newest {
		reference := f.startReference(t)
		g := newResponder(t, folder)
		memory := filepath.Join(reference.dir, "1", "*", "storage", "*")
		waitFor(t, "the folder of the player", func() bool { return matches(memory) })
		testChanges(t, memory, folder)
		fails := reads(t, memory)
		g.unplug()
		fails()
		waitFor(t, "the folder of a player that is gone", func() bool { return !matches(filepath.Dir(memory)) })
		reference.finish()
		return
	}
	r := f.connect(t, "auto")
	g := newResponder(t, folder)
	e := r.event()
	require.False(t, e.Removed)
	require.Contains(t, e.Device.Description().Name, "Responder")
	memory, end := r.files(e.Device)
	testChanges(t, memory, folder)
	h := r.open(e.Device)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "told"), 0o700))
	const objectAdded = 0x4002
	code, object := r.ptpEvent(h)
	require.Equal(t, uint16(objectAdded), code)
	require.NotZero(t, object)
	require.NoError(t, h.Close())
	for _, name := range []string{"empty", "packets"} {
		sent := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(sent, pattern(sizes[name]), 0o600))
		r.sh(`cd $1; cp "$2" .; cmp "$2" "${2##*/}"; cmp "$2" "$3/${2##*/}"`, memory, sent, folder)
	}
	r.sh(`cd $1; mkdir deep; [ -d "$2/deep" ]; cp packets deep; cmp packets "$2/deep/packets"; rm deep/packets; [ ! -e "$2/deep/packets" ]
		rmdir deep; [ ! -e "$2/deep" ]`, memory, folder)
	fails := reads(t, memory)
	g.unplug()
	fails()
	r.removed(e.Device)
	end()
	r.finish()
}

func matches(pattern string) bool {
	list, _ := filepath.Glob(pattern)
	return len(list) > 0
}

// testChanges makes, replaces and removes files at either end, and finds them so at the
// other.
func testChanges(t *testing.T, memory, folder string) {
	t.Helper()
	require.Equal(t, "first\nfirst", sh(t, "cd $1; ls; cat first", memory))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "made"), 0o700)) // an event tells
	waitFor(t, "a folder that was made at the player", func() bool { return sh(t, "cd $1; ls", memory) == "first\nmade\n" })
	require.NoError(t, os.Remove(filepath.Join(folder, "made")))
	waitFor(t, "a folder that was removed there", func() bool { return sh(t, "cd $1; ls", memory) == "first\n" })
	sent := filepath.Join(t.TempDir(), "sent")
	require.NoError(t, os.WriteFile(sent, pattern(1<<19+17), 0o600))
	sh(t, `cd $1; cp "$2" first; cmp "$2" first; cmp "$2" "$3/first"; [ "$(ls)" = first ]; [ "$(ls "$3")" = first ]
		echo other >first; [ "$(cat first)" = other ]; [ "$(cat "$3/first")" = other ]
		cp "$2" large; rm first; [ ! -e "$3/first" ]; [ "$(ls)" = large ]`, memory, sent, folder)
}

// reads reads the file "large" of a player again and again. It returns what waits until that
// fails.
func reads(t *testing.T, memory string) (fails func()) {
	t.Helper()
	cmd := exec.Command("timeout", "-k", "1", fmt.Sprint(patience.Seconds()), "sh", "-c", `cd $1; while cat large; do echo once >&2; done >/dev/null`, "sh", memory)
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = said.Read(make([]byte, len("once\n")))
	require.NoError(t, err)
	return func() {
		t.Helper()
		all, err := io.ReadAll(said)
		require.NoError(t, err)
		require.NoError(t, cmd.Wait())
		require.Contains(t, string(all), "cat: large: ")
	}
}
