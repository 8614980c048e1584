package file

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// TestSuiteOnHungFileSystem has a file system that never answers a read or a
// write, as a network file system does whose server is gone. Every request is
// completed all the same by Cancel and Close.
func TestSuiteOnHungFileSystem(t *testing.T) {
	devtest.Run(t, devtest.Fixture{New: func(t *testing.T) devtest.Instance {
		return devtest.Instance{
			Device: device(t, filepath.Join(hungFileSystem(t), "file"), false),
			Blocking: []devtest.Template{
				{Name: "read", Op: pnp.OpRead, Len: 512},
				{Name: "write", Op: pnp.OpWrite, Len: 512},
			},
		}
	}})
}

// hungFileSystem mounts a file system in user space with any file that is asked
// for, of 1 MiB. The least of the FUSE protocol that opening takes.
func hungFileSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// Blocking, and without the runtime's poller, which would have asked the
	// descriptor before the mount made it something to wait for.
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no FUSE to make a file system hang: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)
	if err := unix.Mount("pnptest", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fuse)
		t.Skipf("mounting FUSE takes root: %v", err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveHung(fuse)
	}()
	t.Cleanup(func() {
		// Forcing it ends every request that hangs, and the server's read.
		if err := unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
			return
		}
		<-served
		unix.Close(fuse)
	})
	return dir
}

// The operations of the protocol that are answered (include/uapi/linux/fuse.h).
const (
	fuseLookup  = 1
	fuseForget  = 2
	fuseGetattr = 3
	fuseOpen    = 14
	fuseRead    = 15
	fuseWrite   = 16
	fuseRelease = 18
	fuseFlush   = 25
	fuseInit    = 26
	fuseIntr    = 36
)

// serveHung answers until the file system is unmounted.
func serveHung(fuse int) {
	le := binary.LittleEndian
	attr := func(b []byte, ino uint64) []byte { // struct fuse_attr
		mode, size := uint32(unix.S_IFREG|0o666), uint64(1<<20)
		if ino == 1 {
			mode, size = unix.S_IFDIR|0o755, 0
		}
		b = le.AppendUint64(le.AppendUint64(b, ino), size)
		b = append(b, make([]byte, 8*4+4*3)...) // blocks and times
		b = le.AppendUint32(le.AppendUint32(b, mode), 1)
		return append(b, make([]byte, 4*5)...)
	}
	request := make([]byte, 1<<18)
	for {
		n, err := unix.Read(fuse, request)
		if err == unix.EINTR || err == unix.ENOENT { // the request was taken back
			continue
		}
		if err != nil || n < 40 {
			return
		}
		op, unique, node := le.Uint32(request[4:]), le.Uint64(request[8:]), le.Uint64(request[16:])
		var reply []byte
		errno := int32(0)
		switch op {
		case fuseForget, fuseIntr, fuseRead, fuseWrite:
			continue // no answer is due, or none comes
		case fuseInit:
			reply = make([]byte, 64)
			le.PutUint32(reply, 7)
			le.PutUint32(reply[4:], 31)
			le.PutUint32(reply[20:], 1<<16) // max_write
		case fuseLookup:
			reply = le.AppendUint64(nil, 2)
			reply = append(reply, make([]byte, 32)...)
			reply = attr(reply, 2)
		case fuseGetattr:
			reply = attr(make([]byte, 16), node)
		case fuseOpen:
			reply = make([]byte, 16)
			reply[8] = 1 // FOPEN_DIRECT_IO
		case fuseFlush, fuseRelease:
		default:
			errno = -int32(unix.ENOSYS)
		}
		header := le.AppendUint32(nil, uint32(16+len(reply)))
		header = le.AppendUint64(le.AppendUint32(header, uint32(errno)), unique)
		// It fails for a request that was taken back; nobody waits then.
		_, _ = unix.Write(fuse, append(header, reply...))
	}
}
