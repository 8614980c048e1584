// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// terminal presents a pseudo terminal of the client's. What a test writes to the master, a
// program reads from data, and the other way round.
func terminal(t *testing.T) (master *os.File, data string, f *FS) {
	t.Helper()
	master, slave := devtest.OpenPTY(t)
	d, err := char.New(backend.Source{Path: slave, Description: pnp.Description{Name: "tty"}})
	require.NoError(t, err)
	p := presenttest.NewPair(t, server.Config{}, d)
	f = mountFS(t)
	return master, add(t, f, p, "tty", streamKind), f
}

func TestCopyToStream(t *testing.T) {
	master, data, _ := terminal(t)
	label := filepath.Join(t.TempDir(), "label.zpl")
	require.NoError(t, os.WriteFile(label, []byte("^XA^FDhello^XZ"), 0o600))
	run(t, "cp", label, data)
	b := make([]byte, 64)
	n, err := master.Read(b)
	require.NoError(t, err)
	assert.Equal(t, "^XA^FDhello^XZ", string(b[:n]))
}

func TestReadStream(t *testing.T) {
	master, data, _ := terminal(t)
	_, err := master.Write([]byte("0.42 kg\n"))
	require.NoError(t, err)
	assert.Equal(t, "0.42 kg\n", run(t, "head", "-c", "8", data))
}

// selecting waits for data with select, poll and epoll, and reads it without waiting.
const selecting = `
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
try:
    os.read(fd, 100)
    sys.exit("there is nothing to read yet")
except BlockingIOError:
    pass
poll, epoll = select.poll(), select.epoll()
poll.register(fd, select.POLLIN)
epoll.register(fd, select.EPOLLIN)
for i, wait in enumerate([lambda: select.select([fd], [], []), poll.poll, epoll.poll]):
    r, w, _ = select.select([], [fd], [], 0)
    assert w == [fd], "must be writable"
    os.write(fd, b"%d?" % i)
    wait()
    print(os.read(fd, 100).decode())
`

func TestPollStream(t *testing.T) {
	master, data, _ := terminal(t)
	go func() {
		b := make([]byte, 2)
		for range 3 {
			if _, err := master.Read(b); err != nil {
				return
			}
			_, _ = master.Write(append([]byte("answer "), b...))
		}
	}()
	assert.Equal(t, "answer 0?\nanswer 1?\nanswer 2?\n", run(t, "python3", "-c", selecting, data))
}

// TestReadSerialPort: although a port waits at first until a buffer is full, a program gets
// what is there.
func TestReadSerialPort(t *testing.T) {
	master, slave := devtest.OpenPTY(t)
	d, err := serial.New(backend.Source{Path: slave, Description: pnp.Description{
		Name: "port", Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT}}})
	require.NoError(t, err)
	p := presenttest.NewPair(t, server.Config{}, d)
	data := add(t, mountFS(t), p, "port", streamKind)
	python := start(t, "python3", "-c", `
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
print("open", flush=True)
os.write(fd, b"weight?")
print(os.read(fd, 100))`, data)
	python.begun()
	b := make([]byte, 7)
	_, err = io.ReadFull(master, b)
	require.NoError(t, err)
	require.Equal(t, "weight?", string(b))
	_, err = master.Write([]byte("0.42 kg"))
	require.NoError(t, err)
	assert.Equal(t, "open\nb'0.42 kg'\n", python.wait())
}
