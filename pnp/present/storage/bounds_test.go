// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"os/exec"
	"testing"

	"freerdp-pnpdr/pnp"
)

// TestOpenFiles: there are so many at a time, and another one when one of them is closed.
func TestOpenFiles(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	p := newPlayer(t)
	p.add(0, "note.txt", []byte("hello\n"))
	m := mount(t, p)
	m.prints("Too many open files in system\nhello\n", `%s -c '
files = [open("Card_1/note.txt") for _ in range(%d)]
try: open("Card_1/note.txt")
except OSError as e: print(e.strerror)
files.pop().close()
for _ in range(1000): # the kernel says later that a file is closed
    try: print(open("Card_1/note.txt").read(), end=""); break
    except OSError: import time; time.sleep(0.01)
'`, python, maxOpen)
}

// busyPlayer is one that another program of the client's has.
type busyPlayer struct{ *player }

func (busyPlayer) Open(pnp.OpenRequest) (pnp.Handle, error) { return nil, pnp.ERROR_BUSY }

// TestBusy: programs are told that the device is in use at the client.
func TestBusy(t *testing.T) {
	m := mountDevice(t, busyPlayer{newPlayer(t)})
	for _, command := range []string{"ls", "cat Card_1/note.txt"} {
		m.fails("Device or resource busy", "%s", command)
	}
}
