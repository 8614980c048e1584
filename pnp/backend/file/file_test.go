// SPDX-License-Identifier: Apache-2.0

package file

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
)

func device(t *testing.T, path string, readOnly bool) *Device {
	t.Helper()
	d, err := New(backend.Source{Path: path, Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(t, err)
	return d
}

// instance makes a device of a new file in dir.
func instance(t *testing.T, dir string) acceptance.Instance {
	path := filepath.Join(dir, "disk.img")
	content := acceptance.Pattern(100_000)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return acceptance.Instance{
		Device:   device(t, path, false),
		ReadOnly: device(t, path, true),
		Content:  content,
	}
}

func TestSuiteOnDisk(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Grows: true, New: func(t *testing.T) acceptance.Instance {
		return instance(t, t.TempDir())
	}})
}

func TestSuiteInMemory(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Grows: true, New: func(t *testing.T) acceptance.Instance {
		return instance(t, memoryDir(t))
	}})
}

// memoryDir returns a directory on tmpfs.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "pnpfile")
	if err != nil {
		t.Skipf("no tmpfs to test on: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// imageDevice is a block device of the content.
func imageDevice(t *testing.T, content []byte, options ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backing")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return devtest.LoopDevice(t, file, options...)
}

func TestSuiteOnBlockDevice(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{New: func(t *testing.T) acceptance.Instance {
		content := acceptance.Pattern(1 << 17)
		node := imageDevice(t, content)
		return acceptance.Instance{Device: device(t, node, false), ReadOnly: device(t, node, true), Content: content}
	}})
}

// TestReadOnlyBlockDevice opens a block device that is read-only.
func TestReadOnlyBlockDevice(t *testing.T) {
	content := acceptance.Pattern(1 << 16)
	h, err := device(t, imageDevice(t, content, "--read-only"), false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	hr, n, _ := transact(h, pnp.OpWrite, 0, []byte("no"))
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, hr)
	require.Zero(t, n)
	b := make([]byte, 512)
	hr, n, _ = transact(h, pnp.OpRead, 512, b)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, 512, n)
	require.Equal(t, content[512:1024], b)
}

// transact does one request and waits for it; quick reports whether it was complete
// when Submit returned.
func transact(h pnp.Handle, op pnp.Op, offset uint64, b []byte) (hr pnp.HRESULT, n int, quick bool) {
	done := make(chan struct{})
	r := &pnp.Request{Op: op, Offset: offset}
	if op == pnp.OpWrite {
		r.In = b
	} else {
		r.Out = b
	}
	r.OnComplete(func(_ *pnp.Request, got pnp.HRESULT, m int) {
		hr, n = got, m
		close(done)
	})
	h.Submit(r)
	quick = r.Completed()
	<-done
	return hr, n, quick
}

// TestSparse6GiB reads and writes beyond what 32 bits hold (C-19).
func TestSparse6GiB(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	f, err := os.Create(path)
	require.NoError(t, err)
	const size = 6 << 30
	require.NoError(t, f.Truncate(size))
	_, err = f.WriteAt([]byte("beyond"), 5<<30)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	h, err := device(t, path, false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	b := make([]byte, 8)
	hr, n, _ := transact(h, pnp.OpRead, 5<<30, b)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "beyond\x00\x00", string(b[:n]))
	hr, n, _ = transact(h, pnp.OpRead, size-3, b)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, 3, n)
	hr, n, _ = transact(h, pnp.OpWrite, size-2, []byte("grown"))
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, 5, n)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, int64(size)+3, st.Size())
	hr, _, _ = transact(h, pnp.OpRead, size+3, b)
	require.Equal(t, pnp.ERROR_HANDLE_EOF, hr)
}

func TestDispositions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		disposition uint32
		access      uint32
		readOnly    bool
		want        pnp.HRESULT
		size        int64
	}{
		{pnp.OPEN_EXISTING, pnp.GENERIC_ALL, false, pnp.S_OK, 4},
		{pnp.OPEN_ALWAYS, pnp.GENERIC_ALL, false, pnp.S_OK, 4},
		{pnp.CREATE_NEW, pnp.GENERIC_ALL, false, pnp.ERROR_FILE_EXISTS, 4},
		{pnp.CREATE_ALWAYS, pnp.GENERIC_ALL, false, pnp.S_OK, 0},
		{pnp.TRUNCATE_EXISTING, pnp.GENERIC_WRITE, false, pnp.S_OK, 0},
		{pnp.CREATE_ALWAYS, pnp.GENERIC_ALL, true, pnp.ERROR_ACCESS_DENIED, 4},
		{pnp.TRUNCATE_EXISTING, pnp.GENERIC_ALL, true, pnp.ERROR_ACCESS_DENIED, 4},
		{pnp.TRUNCATE_EXISTING, pnp.GENERIC_READ, false, pnp.ERROR_ACCESS_DENIED, 4},
		{0, pnp.GENERIC_ALL, false, pnp.ERROR_INVALID_PARAMETER, 4},
		{6, pnp.GENERIC_ALL, false, pnp.ERROR_INVALID_PARAMETER, 4},
	} {
		require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
		h, err := device(t, path, c.readOnly).Open(pnp.OpenRequest{Access: c.access, Disposition: c.disposition})
		require.Equal(t, c.want.Name(), pnp.HRESULTOf(err).Name(), "%+v", c)
		if err == nil {
			h.Close(func() {})
		}
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, c.size, st.Size(), "%+v", c)
	}

	// A refused open leaves the data alone.
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
	d := device(t, path, false)
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ, Share: pnp.FILE_SHARE_READ, Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	_, err = d.Open(pnp.OpenRequest{Access: pnp.GENERIC_ALL, Share: 3, Disposition: pnp.CREATE_ALWAYS})
	require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 4, st.Size())
	h.Close(func() {})

	// A file that is gone is not created again.
	require.NoError(t, os.Remove(path))
	for disposition := range uint32(5) {
		_, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_ALL, Disposition: disposition + 1})
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
	}
	require.NoFileExists(t, path)
}

func TestOnlyFilesAndBlockDevices(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	for _, path := range []string{fifo, "/dev/null"} {
		_, err := device(t, path, false).Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_NOT_SUPPORTED, pnp.HRESULTOf(err), path)
	}
	_, err := device(t, dir, false).Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, pnp.HRESULTOf(err), "as Windows answers for a directory")
	_, err = New(backend.Source{})
	require.Error(t, err)

	link := filepath.Join(dir, "link")
	target := filepath.Join(dir, "target")
	require.NoError(t, os.WriteFile(target, []byte("data"), 0o600))
	require.NoError(t, os.Symlink("target", link))
	h, err := device(t, link, false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	h.Close(func() {})
}

// TestPermissions opens a file that the user may only read. Root may do anything, so
// root tests this with another file system uid.
func TestPermissions(t *testing.T) {
	dir, err := os.MkdirTemp("", "pnpfile")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "f")
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o444))
	d := device(t, path, false)
	runtime.LockOSThread()
	if os.Getuid() == 0 {
		_, _ = unix.SetfsuidRetUid(65534)
	}
	h, err := d.Open(acceptance.ReadWrite)
	if os.Getuid() == 0 {
		_, _ = unix.SetfsuidRetUid(0)
	}
	runtime.UnlockOSThread()
	require.NoError(t, err) // C-38
	defer h.Close(func() {})
	hr, _, _ := transact(h, pnp.OpWrite, 0, []byte("no"))
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, hr)
	b := make([]byte, 4)
	hr, _, _ = transact(h, pnp.OpRead, 0, b)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "data", string(b))
}

// TestTryReadsThePageCache: Try does a read only if all of it is cached.
func TestTryReadsThePageCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	content := acceptance.Pattern(1 << 20)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	probe := make([]byte, 1)
	if _, err := unix.Preadv2(int(f.Fd()), [][]byte{probe}, 0, unix.RWF_NOWAIT); err == unix.EOPNOTSUPP {
		t.Skip("this file system has no RWF_NOWAIT; Try never reads here")
	}
	h, err := device(t, path, false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	b := make([]byte, 1<<20)
	hr, n, quick := transact(h, pnp.OpRead, 0, b)
	require.True(t, quick, "just written, so cached")
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, content, b[:n])
	hr, n, quick = transact(h, pnp.OpRead, 1<<20-5, b)
	require.True(t, quick, "a read up to the end is cached, too")
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, 5, n)
	hr, _, quick = transact(h, pnp.OpRead, 1<<20, b)
	require.True(t, quick)
	require.Equal(t, pnp.ERROR_HANDLE_EOF, hr)

	// Written back, the pages can be dropped; some of them may stay.
	require.NoError(t, unix.Fsync(int(f.Fd())))
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	_, err = unix.Preadv2(int(f.Fd()), [][]byte{probe}, 1<<19, unix.RWF_NOWAIT)
	hr, n, quick = transact(h, pnp.OpRead, 0, b)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, content, b[:n])
	if err == unix.EAGAIN {
		require.False(t, quick, "part of it has to come from the disk")
	}
}
