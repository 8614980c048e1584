// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
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

// newResponder plugs in a media player that shows a folder: umtp-responder, an MTP of its
// own, as a USB gadget.
func newResponder(t *testing.T, folder string) {
	require.NoError(t, os.MkdirAll("/etc/umtprd", 0o755))
	config := responderConfig + `storage "` + folder + `" "card" "rw"` + "\n"
	require.NoError(t, os.WriteFile("/etc/umtprd/umtprd.conf", []byte(config), 0o600))
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	g := &gadget{t: t, dir: "/sys/kernel/config/usb_gadget/responder", udc: udcs[0].Name()}
	sh := func(command string) {
		out, err := exec.Command("sh", "-ec", command, "sh", g.dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	sh(`mkdir -p $1/strings/0x409 $1/configs/c.1 $1/functions/ffs.mtp /dev/ffs-mtp
		ln -s $1/functions/ffs.mtp $1/configs/c.1
		mount -t functionfs mtp /dev/ffs-mtp`)
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
		sh(`umount /dev/ffs-mtp; rm $1/configs/c.1/ffs.mtp; rmdir $1/configs/c.1 $1/functions/ffs.mtp $1/strings/0x409 $1`)
	})
	waitFor(t, "the responder", func() bool { return unix.Access("/dev/ffs-mtp/ep3", unix.F_OK) == nil })
	g.plug()
}

// testResponder uses the files of an MTP that has nothing in common with QEMU's.
func testResponder(t *testing.T, f *fixture) {
	if _, err := exec.LookPath("umtprd"); err != nil {
		t.Skip("NOT TESTED: umtp-responder is not here; remove out/vm to have it fetched")
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "first"), []byte("first"), 0o600))
	r := f.connect(t, "auto")
	newResponder(t, folder)
	e := r.event()
	require.False(t, e.Removed)
	require.Contains(t, e.Device.Description().Name, "Responder")
	memory, end := r.files(e.Device)
	require.Equal(t, "first\nfirst", r.sh("cd $1; ls; cat first", memory))
	for name, size := range sizes {
		sent := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(sent, pattern(size), 0o600))
		r.sh(`cd $1; cp "$2" .; cmp "$2" "${2##*/}"; cmp "$2" "$3/${2##*/}"`, memory, sent, folder)
	}
	r.sh(`cd $1; echo other >small; [ "$(cat small)" = other ]; [ "$(cat "$2/small")" = other ]
		mkdir deep; [ -d "$2/deep" ]; cp large deep; cmp large "$2/deep/large"; rm deep/large; [ ! -e "$2/deep/large" ]
		rmdir deep; [ ! -e "$2/deep" ]; rm first large; [ ! -e "$2/large" ]`, memory, folder)
	require.Equal(t, "empty\npackets\nsmall\n", r.sh("cd $1; ls", memory))
	end()
	r.finish()
}
