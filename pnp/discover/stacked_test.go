// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// TestAtStacked: what lies on a stick is the stick's, through however many
// layers.
func TestAtStacked(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	stick := m.Plug(discovertest.Stick())
	sda := stick.Key + "/" + filepath.Base(stick.Key) + ":1.0/host6/target6:0:0/6:0:0:0/block/sda"
	m.AddNode(sda, "block", "sda", true)
	sda1 := m.AddNode(sda+"/sda1", "block", "sda1", true)
	m.SetAttribute(sda+"/sda1", "partition", "1")

	const nvme = "devices/pci0000:00/nvme0n1"
	m.AddNode(nvme, "block", "nvme0n1", true)
	virtual := func(name string) (key, node string) {
		key = "devices/virtual/block/" + name
		return key, m.AddNode(key, "block", name, true)
	}
	backing := func(key, file string) {
		require.NoError(t, os.MkdirAll(filepath.Join(m.Sys, key, "loop"), 0o755))
		m.SetAttribute(key+"/loop", "backing_file", file)
	}
	crypt, cryptNode := virtual("dm-0")
	m.Stack(crypt, sda+"/sda1")
	volume, volumeNode := virtual("dm-1")
	m.Stack(volume, crypt)
	m.Stack(volume, nvme)
	raid, raidNode := virtual("md0")
	m.Stack(raid, volume)
	raidPart := m.AddNode(raid+"/md0p1", "block", "md0p1", true)
	m.SetAttribute(raid+"/md0p1", "partition", "1")
	loop, loopNode := virtual("loop0")
	backing(loop, sda1)
	alone, aloneNode := virtual("dm-2")
	require.NoError(t, os.MkdirAll(filepath.Join(m.Sys, alone, "slaves"), 0o755))

	for node, onNVMe := range map[string]bool{
		cryptNode: false, volumeNode: true, raidNode: true, raidPart: true, loopNode: false,
	} {
		var vendors []uint16
		for _, d := range at(t, m, node) {
			require.Equal(t, node, d.Node)
			vendors = append(vendors, d.VendorID)
		}
		want := []uint16{0x0781}
		if onNVMe {
			want = append(want, 0)
		}
		require.ElementsMatch(t, want, vendors, node)
	}
	got := at(t, m, aloneNode)
	require.Len(t, got, 1)
	require.Equal(t, []string{"virtual", alone}, []string{got[0].Bus, got[0].Key})

	// What is behind it could be any device.
	plain := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for _, file := range []string{plain, sda1 + " (deleted)", plain + "/x", "/dev/null", ""} {
		backing(loop, file)
		_, err := discover.At(m.Config(), loopNode)
		require.ErrorContains(t, err, "finding what is behind", file)
	}
	// Looking ends, where the kernel would not let it come to that.
	ring, ringNode := virtual("dm-3")
	m.Stack(ring, ring)
	_, err := discover.At(m.Config(), ringNode)
	require.ErrorContains(t, err, "made of itself")
}

// TestAtRealLoop has loop devices of the kernel's, one on the other, whatever the
// name by which that one was opened.
func TestAtRealLoop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a\nb")
	require.NoError(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))
	lower := devtest.LoopDevice(t, file)
	upper := devtest.LoopDevice(t, lower)
	id, err := devnode.Identify(lower)
	require.NoError(t, err)
	alias := filepath.Join(t.TempDir(), "alias")
	require.NoError(t, unix.Mknod(alias, unix.S_IFBLK|0o600, int(id.Rdev)))
	other := devtest.LoopDevice(t, alias)
	require.NoError(t, os.Remove(alias))
	require.NoError(t, os.WriteFile(alias, nil, 0o600))
	require.NoError(t, os.Remove(file))
	for _, node := range []string{lower, upper, other} {
		got, err := discover.At(discover.Config{}, node)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Equal(t, "devices/virtual/block/"+filepath.Base(lower), got[0].Key)
	}
}
