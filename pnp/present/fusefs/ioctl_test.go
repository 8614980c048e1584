// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/wire"
)

// controlling sends an IOControl by ioctl. It prints errno, or the result and the output.
const controlling = `
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
def control(code, data, want, size):
    b = bytearray(struct.pack("=IIII", code, len(data), want, 0) + data)
    b += bytes(size - len(b))
    try:
        fcntl.ioctl(fd, 3 << 30 | size << 16 | ord("P") << 8 | 1, b, True)
    except OSError as e:
        print(e.strerror)
        return
    _, _, n, result = struct.unpack_from("=IIII", b)
    print("%#x" % result, n, b[16:16 + n].hex(), bytes(b[16 + n:]).count(0) == size - 16 - n)
`

func controlProgram(t *testing.T, data, script string) *program {
	return start(t, "python3", "-c", controlling+script, data)
}

func TestIoctl(t *testing.T) {
	p := presenttest.NewPair(t, server.Config{}, loopback.New(loopback.DefaultDescription()))
	data := add(t, mountFS(t), p, loopback.DefaultDescription().Name, streamKind)
	got := controlProgram(t, data, `
control(0x222440, b"\1\2\3", 3, 64)
control(0x222440, b"\1\2\3", 0, 64)
control(0x222441, b"", 8, 64)
control(0x222440, bytes(range(256)) * 63, 10000, 16383)
control(0x222440, b"\1\2\3", 49, 64)
control(0x222440, b"", 0, 16)
for request in (3 << 30 | 8 << 16 | ord("P") << 8 | 1, 3 << 30 | 64 << 16 | ord("P") << 8 | 2, 1 << 30 | 64 << 16 | ord("P") << 8 | 1, 0x5401):
    try:
        fcntl.ioctl(fd, request, bytearray(64), True)
    except OSError as e:
        print(e.strerror)
`).wait()
	long := hex.EncodeToString(bytes.Repeat(pattern256(), 40)[:10000])
	assert.Equal(t, strings.Join([]string{
		"0x0 3 010203 True",
		"0x0 0  True",
		"0x80070001 0  True",
		"0x0 10000 " + long + " True",
		"Invalid argument",
		"0x0 0  True",
		"Invalid argument",
		"Inappropriate ioctl for device",
		"Inappropriate ioctl for device",
		"Inappropriate ioctl for device",
	}, "\n")+"\n", got)
}

func pattern256() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// TestIoctlInterrupted: an IOControl is cancelled like a read.
func TestIoctlInterrupted(t *testing.T) {
	s := newScripted(t, streamKind)
	python := controlProgram(t, s.data, `
import signal
def raised(*_): raise ValueError("raised")
signal.signal(signal.SIGUSR1, raised)
try: control(7, b"in", 3, 64)
except ValueError as e: print(e)`)
	ch := s.opens()
	r := servertest.NextAs[wire.IOControlRequest](ch)
	assert.EqualValues(t, 7, r.IoCode)
	assert.Equal(t, "in", string(r.DataIn))
	assert.EqualValues(t, 3, r.CbOut)
	python.signal(unix.SIGUSR1)
	s.checkCancelled(ch, r.RequestID)
	assert.Equal(t, "raised\n", python.wait())
}
