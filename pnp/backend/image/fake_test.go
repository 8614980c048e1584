// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

const (
	bulkIn, bulkOut, interruptIn = 0x81, 0x02, 0x83

	packet = 64
)

// descriptors are those of a camera: an interface for storage, and one for images with an
// alternate setting.
var descriptors = []byte{
	18, 1, 0, 2, 0, 0, 0, 64, 0xA9, 0x04, 0x18, 0x32, 0x02, 0, 1, 2, 3, 1,
	9, 2, 78, 0, 2, 1, 0, 0x80, 50,
	9, 4, 0, 0, 1, 8, 6, 80, 0,
	7, 5, 0x8F, 2, 64, 0, 0,
	9, 4, 1, 0, 3, 6, 1, 1, 0,
	7, 5, bulkIn, 2, packet, 0, 0,
	7, 5, bulkOut, 2, packet, 0, 0,
	7, 5, interruptIn, 3, 8, 0, 10,
	9, 4, 1, 1, 1, 6, 1, 1, 0,
	7, 5, 0x8E, 2, 64, 0, 0,
}

// bus is a camera that the test plays: no hardware is needed. plugin/vmtest has real ones.
// It is the USB that the backend uses, and the interface that is claimed.
type bus struct {
	t testing.TB

	mu       sync.Mutex
	pending  map[byte][]*Transfer // by endpoint
	packets  [][]byte             // that the device wants to send on bulkIn
	wrote    [][]byte             // transfers on bulkOut
	controls []string
	claims   int // now
	busy     bool
	unplug   bool
	lazy     bool // bulkOut takes nothing
	due      []func()
	running  bool // run is
	full     int  // how many transfers there is memory for; 0 for any number
}

func (b *bus) Claim(fd, number int) (Interface, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(b.t, 1, number)
	var st unix.Stat_t
	require.NoError(b.t, unix.Fstat(fd, &st))
	switch {
	case b.busy:
		return nil, ErrInUse
	case b.unplug:
		return nil, ErrGone
	}
	b.claims++
	return b, nil
}

// run moves what can be moved and calls what is due, in order, without the lock.
func (b *bus) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move()
	if b.running {
		return
	}
	b.running = true
	for len(b.due) > 0 {
		f := b.due[0]
		b.due = b.due[1:]
		b.mu.Unlock()
		f()
		b.mu.Lock()
		b.move()
	}
	b.running = false
}

func (b *bus) Submit(t *Transfer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.unplug:
		return ErrGone
	case b.full > 0 && len(b.pending[bulkIn])+len(b.pending[bulkOut]) >= b.full:
		return unix.ENOMEM
	}
	b.pending[t.Endpoint] = append(b.pending[t.Endpoint], t)
	go b.run()
	return nil
}

// move completes what can be. b.mu is held.
func (b *bus) move() {
	for len(b.pending[bulkOut]) > 0 && !b.lazy {
		t := b.pending[bulkOut][0]
		b.pending[bulkOut] = b.pending[bulkOut][1:]
		b.wrote = append(b.wrote, bytes.Clone(t.Data))
		b.due = append(b.due, func() { t.Done(len(t.Data), nil) })
	}
	for len(b.pending[bulkIn]) > 0 {
		t := b.pending[bulkIn][0]
		n, short := int(t.Tag), false // what it has so far
		for n < len(t.Data) && len(b.packets) > 0 && !short {
			p := b.packets[0]
			if len(p) > len(t.Data)-n {
				b.t.Errorf("a packet of %d bytes does not fit into what is left of a transfer of %d", len(p), len(t.Data))
			}
			n += copy(t.Data[n:], p)
			b.packets = b.packets[1:]
			short = len(p) < packet
		}
		t.Tag = uint64(n)
		if n < len(t.Data) && !short {
			break
		}
		b.pending[bulkIn] = b.pending[bulkIn][1:]
		b.due = append(b.due, func() { t.Done(n, nil) })
	}
}

// send lets the device send bytes in packets, and an empty one behind if they are whole.
func (b *bus) send(data []byte) {
	b.mu.Lock()
	for len(data) >= packet {
		b.packets = append(b.packets, data[:packet])
		data = data[packet:]
	}
	b.packets = append(b.packets, data)
	b.mu.Unlock()
	b.run()
}

// report lets the device report something, or an error.
func (b *bus) report(data []byte, err error) {
	require.Eventually(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.pending[interruptIn]) > 0
	}, time.Minute, time.Millisecond)
	b.mu.Lock()
	t := b.pending[interruptIn][0]
	b.pending[interruptIn] = b.pending[interruptIn][1:]
	b.mu.Unlock()
	t.Done(copy(t.Data, data), err)
}

func (b *bus) Cancel(t *Transfer) { b.end(func(o *Transfer) bool { return o == t }, ErrCancelled) }

// end ends transfers with an error. They keep what they have.
func (b *bus) end(which func(*Transfer) bool, err error) {
	b.mu.Lock()
	for endpoint, list := range b.pending {
		var rest []*Transfer
		for _, t := range list {
			if !which(t) {
				rest = append(rest, t)
				continue
			}
			n := 0
			if endpoint == bulkIn {
				n = int(t.Tag)
			}
			b.due = append(b.due, func() { t.Done(n, err) })
		}
		b.pending[endpoint] = rest
	}
	b.mu.Unlock()
	go b.run()
}

func (b *bus) unplugged() {
	b.mu.Lock()
	b.unplug = true
	b.mu.Unlock()
	b.end(func(*Transfer) bool { return true }, ErrGone)
}

func (b *bus) Control(kind, request byte, value, index uint16, data []byte, timeout time.Duration) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unplug {
		return 0, ErrGone
	}
	s := []byte{kind, request, byte(value), byte(value >> 8), byte(index), byte(index >> 8)}
	if kind&directionIn == 0 {
		s = append(s, data...)
	}
	b.controls = append(b.controls, string(s))
	if kind&directionIn != 0 {
		return copy(data, "answer"), nil
	}
	return len(data), nil
}

func (b *bus) ClearHalt(endpoint byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.controls = append(b.controls, string([]byte{'c', endpoint}))
	return nil
}

func (b *bus) Reset() error { return nil }

func (b *bus) Close() {
	b.end(func(t *Transfer) bool { return t.Endpoint == interruptIn }, ErrCancelled)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.pending[bulkIn])
	require.Empty(b.t, b.pending[bulkOut])
	b.claims--
}

// camera makes a device and its bus.
func camera(t testing.TB) (*Device, *bus) {
	b := &bus{t: t, pending: make(map[byte][]*Transfer)}
	Use(b)
	path := filepath.Join(t.TempDir(), "node")
	require.NoError(t, os.WriteFile(path, descriptors, 0o600))
	d, err := New(backend.Source{Path: path, Description: pnp.Description{Name: "camera"}})
	require.NoError(t, err)
	return d, b
}
