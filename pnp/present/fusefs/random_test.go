// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// TestPrograms: programs that know nothing of redirection.
func TestPrograms(t *testing.T) {
	content := pattern(3<<20 + 123)
	local, data := disk(t, content)
	out := filepath.Join(t.TempDir(), "copy")

	assert.Equal(t, run(t, "sha256sum", "--", local)[:64], run(t, "sha256sum", "--", data)[:64])
	run(t, "cmp", local, data)
	run(t, "cp", data, out)
	run(t, "cmp", local, out)
	assert.Equal(t, "3145851\n", run(t, "stat", "-c", "%s", data))
	assert.Equal(t, string(content), run(t, "cat", data))
	assert.Equal(t, string(content[len(content)-10:]), run(t, "tail", "-c", "10", data))
	run(t, "dd", "if="+data, "of="+out, "bs=64k", "iflag=direct")
	run(t, "cmp", local, out)

	run(t, "dd", "if=/dev/zero", "of="+data, "bs=4096", "count=10", "seek=7", "conv=notrunc,fsync")
	want := append([]byte(nil), content...)
	clear(want[7*4096 : 17*4096])
	got, err := os.ReadFile(local)
	require.NoError(t, err)
	require.Equal(t, want, got)
	run(t, "cmp", local, data)
}

// TestPython: open, seek, read, write and mmap.
func TestPython(t *testing.T) {
	content := pattern(100_000)
	local, data := disk(t, content)
	const script = `
import mmap, os, sys
with open(sys.argv[1], "r+b") as f:
    assert f.seek(0, os.SEEK_END) == 100000
    f.seek(50000)
    sys.stdout.buffer.write(f.read(10))
    f.seek(10)
    f.write(b"python")
    f.flush()
    os.fsync(f.fileno())
    f.seek(8)
    assert f.read(10)[2:8] == b"python"
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    assert len(m) == 100000
    sys.stdout.buffer.write(m[99990:])
    assert m[10:16] == b"python"
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[70000:70006] = b"mapped"
    m.flush()
    m.close()
`
	want := string(content[50000:50010]) + string(content[99990:])
	assert.Equal(t, want, run(t, "python3", "-c", script, data))
	copy(content[10:], "python")
	copy(content[70000:], "mapped")
	checkFile(t, local, content)
}

func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%d bytes, not %d", len(got), len(want))
}

// TestTwoAtOnce: two programs read and write one file.
func TestTwoAtOnce(t *testing.T) {
	local, data := disk(t, make([]byte, 4<<20))
	programs := []*program{
		start(t, "dd", "if=/dev/zero", "of="+data, "bs=4096", "count=512", "conv=notrunc,fsync"),
		start(t, "sh", "-c", "tr '\\0' x </dev/zero | dd of="+data+" bs=4096 count=512 seek=512 iflag=fullblock conv=notrunc,fsync"),
		start(t, "sha256sum", data),
	}
	for _, p := range programs {
		out := p.wait()
		require.True(t, p.cmd.ProcessState.Success(), out)
	}
	checkFile(t, local, append(make([]byte, 2<<20), bytes.Repeat([]byte("x"), 2<<20)...))
	run(t, "cmp", local, data)
}

func TestTruncate(t *testing.T) {
	content := pattern(100_000)
	local, data := disk(t, content)

	run(t, "truncate", "-s", "150000", data)
	checkFile(t, local, append(content, make([]byte, 50_000)...))
	out, err := try(t, nil, "truncate", "-s", "1000", data)
	assert.Error(t, err)
	assert.Contains(t, out, "Operation not permitted")
	checkFile(t, local, append(content, make([]byte, 50_000)...))

	// A shell, and cp, make what they write to empty.
	run(t, "sh", "-c", "printf short > "+data)
	checkFile(t, local, []byte("short"))
	assert.Equal(t, "short", run(t, "cat", data))
	other := newFile(t, pattern(300_000))
	run(t, "cp", other, data)
	checkFile(t, local, pattern(300_000))
	run(t, "sh", "-c", "printf more >> "+data)
	checkFile(t, local, append(pattern(300_000), "more"...))
}

// TestReadOnly: a program is told when it opens the file.
func TestReadOnly(t *testing.T) {
	content := pattern(5000)
	p := presenttest.NewPair(t, server.Config{}, fileDevice(t, newFile(t, content), true))
	data := add(t, mountFS(t), p, "disk", randomKind)
	out, err := try(t, nil, "sh", "-c", "printf text > "+data)
	assert.Error(t, err)
	assert.Contains(t, out, "Permission denied")
	assert.Equal(t, string(content), run(t, "cat", data))
}

// TestGrowsAtTheClient: a file that becomes longer at the client does so here, if somebody
// looks.
func TestGrowsAtTheClient(t *testing.T) {
	content := pattern(5000)
	local, data := disk(t, content)
	assert.Equal(t, "5000\n", run(t, "stat", "-c", "%s", data))
	content = append(content, "grown"...)
	require.NoError(t, os.WriteFile(local, content, 0o600))
	require.Eventually(t, func() bool { return run(t, "stat", "-c", "%s", data) == "5005\n" }, presenttest.Patience, sizeValid/10)
	run(t, "cmp", local, data)
}

// TestChangedAtTheClient: who opens a file again sees what the client has changed, another
// size after a second.
func TestChangedAtTheClient(t *testing.T) {
	local, data := disk(t, []byte("12345"))
	assert.Equal(t, "12345", run(t, "cat", data))
	require.NoError(t, os.WriteFile(local, []byte("abcde"), 0o600))
	assert.Equal(t, "abcde", run(t, "cat", data))
	for _, content := range []string{"longer than before", "short", ""} {
		require.NoError(t, os.WriteFile(local, []byte(content), 0o600))
		time.Sleep(sizeValid)
		assert.Equal(t, content, run(t, "cat", data))
	}
}

// TestBlockDevice: a disk cannot become longer or shorter, and a write behind its end fails
// when the program asks.
func TestBlockDevice(t *testing.T) {
	content := pattern(1 << 20)
	image := newFile(t, content)
	node := devtest.LoopDevice(t, image)
	p := presenttest.NewPair(t, server.Config{}, fileDevice(t, node, false))
	data := add(t, mountFS(t), p, "disk", randomKind)
	run(t, "cmp", image, data)

	// As for a disk, making it empty does nothing.
	run(t, "sh", "-c", "printf begin > "+data)
	copy(content, "begin")
	assert.Equal(t, string(content), run(t, "cat", data))
	for _, conv := range []string{"notrunc,fsync", "notrunc"} { // fsync fails, or close
		out, err := try(t, nil, "dd", "if=/dev/zero", "of="+data, "bs=4096", "count=1", "seek=256", "conv="+conv)
		assert.Error(t, err)
		assert.Contains(t, out, "No space left")
	}
	assert.Equal(t, "1048576\n", run(t, "stat", "-c", "%s", data))
	run(t, "sync")
	run(t, "cmp", node, data)
}

// TestLoopMount mounts a file system in a file of the client's.
func TestLoopMount(t *testing.T) {
	devtest.LoopDevice(t, newFile(t, make([]byte, 1<<20))) // skips the test if there are none
	local, data := disk(t, make([]byte, 16<<20))
	run(t, "mkfs.ext4", "-q", "-F", data)
	// The loop device must go before the file system does, which is not the order in which
	// the test would end.
	node := strings.TrimSpace(run(t, "losetup", "--find", "--show", data))
	dir := t.TempDir()
	mountIt := func() { run(t, "mount", node, dir) }
	mountIt()
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = try(t, nil, "umount", dir)
			_, _ = try(t, nil, "losetup", "--detach", node)
		}
	})
	run(t, "sh", "-c", "seq 100000 > "+dir+"/numbers && mkdir "+dir+"/folder && sync -f "+dir)
	run(t, "umount", dir)
	mountIt()
	assert.Equal(t, run(t, "seq", "100000"), run(t, "cat", filepath.Join(dir, "numbers")))
	run(t, "umount", dir)
	run(t, "losetup", "--detach", node)
	// At the client it is whole.
	run(t, "e2fsck", "-f", "-n", local)
	run(t, "cmp", local, data)
}

// TestHole reads what nobody has written, before a file that was made longer is.
func TestHole(t *testing.T) {
	local, data := disk(t, nil)
	const script = `
import os, sys
for i in range(1, 20):
    fd = os.open(sys.argv[1], os.O_RDWR)
    end = i << 20
    os.pwrite(fd, b"end", end)
    assert os.pread(fd, 4096, end - 5000) == bytes(4096)
    assert os.fstat(fd).st_size == end + 3, os.fstat(fd).st_size
    assert os.pread(fd, 10, end) == b"end"
    os.close(fd)
`
	run(t, "python3", "-c", script, data)
	run(t, "cmp", local, data)
}

// holding is a device whose reads behind an offset wait.
type holding struct {
	pnp.Device
	from    uint64
	waiting chan *pnp.Request
}

func (d holding) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.Device.Open(r)
	return holdingHandle{h, d}, err
}

type holdingHandle struct {
	pnp.Handle
	d holding
}

func (h holdingHandle) Submit(r *pnp.Request) {
	if r.Op == pnp.OpRead && r.Offset >= h.d.from {
		h.d.waiting <- r
		return
	}
	h.Handle.Submit(r)
}

func (h holdingHandle) Cancel(r *pnp.Request) { r.Complete(pnp.ERROR_OPERATION_ABORTED, 0) }

// TestReadsAheadOfTheKernel: while cat waits for the client, there are ten times as many
// reads under way as the kernel makes by itself.
func TestReadsAheadOfTheKernel(t *testing.T) {
	d := holding{fileDevice(t, newFile(t, make([]byte, 32<<20)), false), 16 << 20, make(chan *pnp.Request, 1000)}
	f := mountFS(t)
	t.Cleanup(f.Add(theDevice(t, newNetwork(t, 0, d), randomKind), Shape{Data: present.RandomAccess}))
	data := filepath.Join(f.Path(), "disk", "data")
	cat := start(t, "sh", "-c", "exec cat "+data+" > /dev/null")
	bytes := 0
	for bytes < 20*(128<<10) {
		select {
		case r := <-d.waiting:
			bytes += len(r.Out)
		case <-time.After(presenttest.Patience):
			t.Fatalf("%d bytes are under way", bytes)
		}
	}
	cat.signal(unix.SIGKILL)
	cat.wait() // although the client does not answer
}

// TestOneHandle: programs share a handle, and it is closed when nobody uses it any more, or
// the device is removed.
func TestOneHandle(t *testing.T) {
	p := presenttest.NewPair(t, server.Config{}, fileDevice(t, newFile(t, pattern(1000)), false))
	d := p.Device("disk", randomKind)
	f := mountFS(t)
	remove := f.Add(d, Shape{Data: present.RandomAccess})
	data := filepath.Join(f.Path(), "disk", "data")
	holder := start(t, "perl", "-e", `$| = 1; open(F, "<", $ARGV[0]) or die; print "open"; sleep 1000`, data)
	holder.begun()
	run(t, "cmp", data, data)
	run(t, "sh", "-c", "printf x | tee -a "+data+" | cat - "+data)
	assert.EqualValues(t, 1, d.Stats().Opened)
	holder.signal(unix.SIGTERM)
	holder.wait()
	require.Eventually(t, func() bool { return d.Stats().Open == 0 }, presenttest.Patience, linger/20)

	run(t, "cat", data)
	remove()
	require.Eventually(t, func() bool { return d.Stats().Open == 0 }, presenttest.Patience, linger/100)
}

// TestFixedFiles: nothing can be added to a folder, or taken away.
func TestFixedFiles(t *testing.T) {
	_, data := disk(t, pattern(1000))
	other := data + ".new"
	for _, args := range [][]string{
		{"touch", other}, {"mkdir", other}, {"ln", "-s", data, other}, {"ln", data, other},
		{"rm", "-f", data}, {"rmdir", filepath.Dir(data)}, {"mv", "-T", data, other}, {"mkfifo", other},
	} {
		out, err := try(t, nil, args[0], args[1:]...)
		assert.Error(t, err)
		assert.Contains(t, out, "Permission denied", "%v", args)
	}
	run(t, "chmod", "600", data)
	run(t, "touch", data)
	assert.Equal(t, "data\n", run(t, "ls", filepath.Dir(data)))
}
