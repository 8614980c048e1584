// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// TestThrough: with O_DIRECT each read and write reaches the client and returns with its
// result, with O_SYNC and O_DSYNC each write. fsync returns what the client says to being
// asked to write its disk, after it has answered all writes.
func TestThrough(t *testing.T) {
	var mu sync.Mutex
	var log []string
	s := newServed(t, randomKind, func(m wire.Message) any {
		mu.Lock()
		defer mu.Unlock()
		switch r := m.Body().(type) {
		case wire.IOControlRequest:
			switch r.IoCode {
			case pnp.IOCTL_DISK_GET_LENGTH_INFO:
				return wire.DataReply{RequestID: r.RequestID, Data: []byte{0, 0, 1, 0, 0, 0, 0, 0}}
			case pnp.IOCTL_PNPDR_FLUSH:
				log = append(log, "flush")
				return wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_IO_DEVICE}
			}
			return wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_INVALID_FUNCTION}
		case wire.ReadRequest:
			log = append(log, fmt.Sprintf("read %d at %d", r.CbBytesToRead, r.Offset))
			return wire.DataReply{RequestID: r.RequestID, Data: make([]byte, r.CbBytesToRead)}
		case wire.WriteRequest:
			if len(r.Data) == 0 {
				return wire.WriteReply{RequestID: r.RequestID}
			}
			log = append(log, fmt.Sprintf("write %d at %d", len(r.Data), r.Offset))
			if r.Data[0] == 'x' {
				return wire.WriteReply{RequestID: r.RequestID, Result: pnp.ERROR_DISK_FULL}
			}
			return wire.WriteReply{RequestID: r.RequestID, CbBytesWritten: uint32(len(r.Data))}
		}
		return nil
	})
	requests := func() string {
		mu.Lock()
		defer mu.Unlock()
		defer func() { log = nil }()
		return strings.Join(slices.Compact(log), ", ")
	}
	python := func(script string) string {
		return run(t, "python3", "-c", `
import mmap, os, sys
page = mmap.mmap(-1, 4096)
def tell(f, *args):
    try: return f(*args)
    except OSError as e: return e.strerror
`+script, s.data)
	}

	assert.Equal(t, "4096 4096\n", python(`
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
first = os.preadv(fd, [page], 8192)
print(first, os.preadv(fd, [page], 4096))`))
	assert.Equal(t, "read 4096 at 8192, read 4096 at 4096", requests())
	for _, flag := range []string{"O_DIRECT", "O_SYNC", "O_DSYNC"} {
		assert.Equal(t, "No space left on device\n", python(`
fd = os.open(sys.argv[1], os.O_RDWR | os.`+flag+`)
page[:1] = b"x"
print(tell(os.pwrite, fd, page, 4096))`), flag)
		assert.Equal(t, "write 4096 at 4096", requests(), flag)
	}
	assert.Equal(t, "4096 Input/output error None\n", python(`
fd = os.open(sys.argv[1], os.O_RDWR)
print(os.pwrite(fd, page, 4096), tell(os.fsync, fd), tell(os.close, fd))`))
	assert.Equal(t, "write 4096 at 4096, flush", requests())
}

// TestWriteProtected: however the client says that a file may only be read, a program is told
// when it opens the file, and alike.
func TestWriteProtected(t *testing.T) {
	for _, result := range []pnp.HRESULT{pnp.ERROR_ACCESS_DENIED, pnp.ERROR_WRITE_PROTECT} {
		s := newServed(t, randomKind, func(m wire.Message) any {
			switch r := m.Body().(type) {
			case wire.IOControlRequest:
				return wire.DataReply{RequestID: r.RequestID, Data: make([]byte, 8)}
			case wire.WriteRequest:
				return wire.WriteReply{RequestID: r.RequestID, Result: result}
			}
			return nil
		})
		out, err := try(t, nil, "sh", "-c", ": >> "+s.data)
		assert.Error(t, err, result)
		assert.Contains(t, out, "Permission denied", result)
	}
}
