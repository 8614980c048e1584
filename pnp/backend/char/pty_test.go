// SPDX-License-Identifier: Apache-2.0

package char

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pty is a pseudo terminal whose slave is the device under test.
type pty struct {
	t      *testing.T
	path   string // of the slave
	master int
	once   sync.Once
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	require.NoError(t, err)
	p := &pty{t: t, path: fmt.Sprintf("/dev/pts/%d", number), master: master}
	t.Cleanup(p.hangUp)
	return p
}

// hangUp closes the master, as if the device was unplugged.
func (p *pty) hangUp() { p.once.Do(func() { unix.Close(p.master) }) }

func (p *pty) feed(data []byte) {
	for len(data) > 0 {
		n, err := unix.Write(p.master, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			p.t.Errorf("write to the master: %v", err)
			return
		}
		data = data[n:]
	}
}

func (p *pty) sink(n int) []byte {
	b := make([]byte, n)
	for at := 0; at < n; {
		k, err := unix.Read(p.master, b[at:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			p.t.Errorf("read from the master: %v", err)
			return nil
		}
		at += k
	}
	return b
}

func (p *pty) termios() unix.Termios {
	p.t.Helper()
	t, err := unix.IoctlGetTermios(p.master, unix.TCGETS)
	require.NoError(p.t, err)
	return *t
}
