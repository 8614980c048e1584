// SPDX-License-Identifier: Apache-2.0

package sysfs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// tree makes a tree of files; those whose content begins with "->" are links.
func tree(t *testing.T, files map[string]string) (*sysfs.Tree, string) {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "devices"), 0o755))
	for name, content := range files {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		if target, ok := strings.CutPrefix(content, "->"); ok {
			require.NoError(t, os.Symlink(target, name))
		} else {
			require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
		}
	}
	s, err := sysfs.Open(root)
	require.NoError(t, err)
	return s, root
}

func TestAttributes(t *testing.T) {
	s, root := tree(t, map[string]string{
		"devices/x/product":   " Acme\x1b \x00Mouse \nsecond\n",
		"devices/x/long":      strings.Repeat("7", 10000),
		"devices/x/bcdDevice": "01fF\n",
		"devices/x/wide":      "10000\n",
		"devices/x/prefix":    "0x12\n",
		"devices/x/empty":     "",
		"devices/x/uevent":    "DEVNAME=a=b\nDEVNAME=c\nMAJOR=\nnothing\n=x",
		"devices/x/driver":    "->../../bus/hid/drivers/hid-\tgeneric",
		"devices/x/subsystem": "->../../bus/hid",
		"devices/y/subsystem": "->../../class/tty",
		"devices/x/file":      "->product",
		"devices/x/self":      "->self",
	})
	require.NoError(t, unix.Mkfifo(filepath.Join(root, "devices/x/pipe"), 0o644))

	require.Equal(t, " Acme\x1b \x00Mouse \nsecond", s.Line("devices/x", "product"))
	require.Equal(t, "Acme Mouse second", s.Text("devices/x", "product"))
	require.Len(t, s.Line("devices/x/long"), 4096)
	require.Len(t, s.Text("devices/x/long"), 378)
	require.Equal(t, "0", string(s.Read(1, "devices/x/bcdDevice")))
	require.Len(t, s.Read(20000, "devices/x/long"), 10000)

	for name, want := range map[string]uint16{"bcdDevice": 0x1ff, "wide": 0, "prefix": 0, "empty": 0, "none": 0} {
		n, ok := s.Hex("devices/x", name)
		require.Equal(t, want, n, name)
		require.Equal(t, name == "bcdDevice", ok, name)
	}
	require.Equal(t, map[string]string{"DEVNAME": "a=b", "MAJOR": "", "": "x"}, s.Uevent("devices/x"))
	require.Empty(t, s.Uevent("devices/none"))

	require.Equal(t, "../../bus/hid/drivers/hid-\tgeneric", s.Target("devices/x", "driver"))
	require.Equal(t, "hid- generic", s.Link("devices/x", "driver"))
	require.True(t, s.IsBus("devices/x"))
	require.False(t, s.IsBus("devices/y"))
	require.False(t, s.IsBus("devices/none"))

	// Not regular files, and not links.
	for _, name := range []string{"file", "self", "none", ".", "pipe", "product/x"} {
		require.Empty(t, s.Line("devices/x", name), name)
	}
	for _, name := range []string{"product", "none", "."} {
		require.Empty(t, s.Target("devices/x", name), name)
		require.Empty(t, s.Link("devices/x", name), name)
	}
	require.NoError(t, s.Err(), "all of them are absent")
}

func TestDirectories(t *testing.T) {
	s, root := tree(t, map[string]string{
		"devices/x/b": "", "devices/x/a": "", "devices/y": "",
		"class/tty/x": "->../../devices/x", "class/tty/out": "->/", "class/tty/loop": "->loop", "class/tty/gone": "->../../devices/gone",
		"dev/char/1:2": "->../../devices/x", "dev/char/1:3": "->../../devices/gone", "dev/char/1:4": "->../../class/tty",
		"dev/block/1:2": "->../../devices/y",
	})
	require.Equal(t, []string{"a", "b"}, s.List("devices", "x"))
	require.Empty(t, s.List("devices/y"))
	require.Empty(t, s.List("devices/gone"))

	dir, ok := s.Resolve("class/tty/x")
	require.True(t, ok)
	require.Equal(t, "devices/x", dir)
	for _, name := range []string{"out", "loop", "gone", "none"} {
		_, ok := s.Resolve("class/tty/" + name)
		require.False(t, ok, name)
	}

	rdev := unix.Mkdev(1, 2)
	for n, want := range map[sysfs.Number]string{
		sysfs.CharNumber(rdev): "devices/x", sysfs.BlockNumber(rdev): "devices/y",
		{Kind: "char", Major: 1, Minor: 3}: "", {Kind: "char", Major: 9, Minor: 9}: "",
	} {
		dir, err := s.ByNumber(n)
		require.NoError(t, err)
		require.Equal(t, want, dir, n)
	}
	_, err := s.ByNumber(sysfs.Number{Kind: "char", Major: 1, Minor: 4})
	require.ErrorContains(t, err, "1:4 leads to "+root)
	_, err = s.ByNumber(sysfs.Number{Kind: "socket"})
	require.ErrorIs(t, err, os.ErrNotExist)

	first, ok := s.Inode("devices/x")
	require.True(t, ok)
	require.NotZero(t, first)
	for _, name := range []string{"devices/y", "devices/gone", "class/tty/x"} {
		_, ok := s.Inode(name)
		require.False(t, ok, name)
	}
	require.NoError(t, s.Err())
}

// TestCannotRead checks that Err keeps errors other than those about absent files.
func TestCannotRead(t *testing.T) {
	long := strings.Repeat("x", 300)
	s, _ := tree(t, nil)
	require.Empty(t, s.Line("devices", long))
	require.NoError(t, s.Err(), "no file has such a name")
	require.True(t, s.Failed(&os.PathError{Op: "open", Path: "first", Err: unix.EMFILE}))
	require.True(t, s.Failed(unix.EIO))
	require.False(t, s.Failed(nil))
	require.ErrorIs(t, s.Err(), unix.EMFILE)
	require.ErrorContains(t, s.Err(), "first")
}

func TestNoTree(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{root, filepath.Join(root, "none")} {
		_, err := sysfs.Open(name)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
