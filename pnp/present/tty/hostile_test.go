// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// newForged presents a port that answers like answer.
func newForged(t *testing.T, answer func(*pnp.Request)) (*bench, *porttest.Forged) {
	t.Helper()
	d := porttest.NewForged("meter", answer)
	d.Deaf = true
	b := &bench{t: t, pair: presenttest.NewPair(t, server.Config{CancelWait: 24 * time.Hour})}
	b.id = b.pair.Add(d)
	b.present()
	return b, d
}

// TestRefused: a program whose open the client refuses is hung up on, and the next one
// may be luckier.
func TestRefused(t *testing.T) {
	b, d := newForged(t, porttest.Obey)
	d.Refuse.Store(1)
	f := b.open()
	requireHungUp(t, f)
	b.eventually("another terminal", func() bool {
		f, err := os.OpenFile(b.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.Write([]byte("x"))
		return err == nil && d.Count(pnp.OpWrite) > 0
	})
}

// TestLost: if the port is lost and the device is there still, programs are hung up on,
// and the next open has another terminal with the same settings.
func TestLost(t *testing.T) {
	var lost atomic.Bool
	b, d := newForged(t, func(r *pnp.Request) {
		if r.Op == pnp.OpWrite && !lost.Swap(true) {
			r.Complete(pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
			return
		}
		porttest.Obey(r)
	})
	f := b.open()
	change(t, f, func(s *unix.Termios) { speed(s, 4800) })
	give(t, f, []byte("x"))
	requireHungUp(t, f)
	b.eventually("another terminal", func() bool {
		f, err := os.OpenFile(b.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.Write([]byte("y"))
		return err == nil && d.Count(pnp.OpWrite) > 1
	})
	require.Equal(t, uint32(4800), termios(t, b.open()).Ospeed)
}

// TestSettingsRefused: the port is of use with the settings that it takes.
func TestSettingsRefused(t *testing.T) {
	b, d := newForged(t, func(r *pnp.Request) {
		if r.Op == pnp.OpIOControl && r.Code != serial.IOCTL_SERIAL_SET_TIMEOUTS {
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
			return
		}
		porttest.Obey(r)
	})
	f := b.open()
	for baud := range uint32(5) {
		change(t, f, func(s *unix.Termios) { speed(s, 1000+baud) })
		give(t, f, []byte("x"))
		b.eventually("data", func() bool { return d.Count(pnp.OpWrite) > int(baud) })
	}
}

// TestSilent: whatever the client does not answer, programs can end and so can the
// terminal.
func TestSilent(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent func(*pnp.Request) bool
	}{
		{"everything", func(*pnp.Request) bool { return true }},
		{"writes", func(r *pnp.Request) bool { return r.Op == pnp.OpWrite }},
		{"purge", func(r *pnp.Request) bool { return r.Code == serial.IOCTL_SERIAL_PURGE }},
		{"speed", func(r *pnp.Request) bool {
			return r.Code == serial.IOCTL_SERIAL_SET_BAUD_RATE && r.In[0] == 77
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := newForged(t, func(r *pnp.Request) {
				if !c.silent(r) {
					porttest.Obey(r)
				}
			})
			f := b.open()
			b.handles(1)
			change(t, f, func(s *unix.Termios) { speed(s, 77) })
			tcflush(t, f, unix.TCIOFLUSH)
			require.NoError(t, f.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
			_, _ = f.Write(make([]byte, 1<<20))
			require.NoError(t, f.Close())
			f = b.open()
			b.term.Close()
			requireHungUp(t, f)
		})
	}
}

// TestFlushFirst: what a program writes after tcflush is not sent before the client has
// discarded what came before: it may be a question whose answer would be discarded.
func TestFlushFirst(t *testing.T) {
	purge := make(chan *pnp.Request, 1)
	b, d := newForged(t, func(r *pnp.Request) {
		if r.Code == serial.IOCTL_SERIAL_PURGE {
			purge <- r
			return
		}
		porttest.Obey(r)
	})
	d.Deaf = false
	f := b.open()
	b.handles(1)
	tcflush(t, f, unix.TCIFLUSH)
	give(t, f, []byte("?"))
	r := <-purge
	b.eventually("the question", func() bool {
		s := b.term.pty.state()
		return s&unix.POLLIN == 0 // it was read from the terminal
	})
	time.Sleep(20 * time.Millisecond) // for a session that sends it at once
	require.Zero(t, d.Count(pnp.OpWrite))
	r.Complete(pnp.S_OK, 0)
	b.eventually("the question", func() bool { return d.Count(pnp.OpWrite) == 1 })
}

// TestEmptyReads: a client that has nothing to say does not keep the machine busy.
func TestEmptyReads(t *testing.T) {
	b, d := newForged(t, func(r *pnp.Request) {
		if r.Op == pnp.OpRead {
			r.Complete(pnp.S_OK, 0)
			return
		}
		porttest.Obey(r)
	})
	f := b.open()
	b.eventually("reads", func() bool { return d.Count(pnp.OpRead) >= 4 })
	require.Less(t, d.Count(pnp.OpRead), 100)
	require.NoError(t, f.Close())
	b.handles(0)
}

// TestEndless: data that nobody reads stays at the client.
func TestEndless(t *testing.T) {
	b, d := newForged(t, func(r *pnp.Request) { r.Complete(pnp.S_OK, len(r.Buffer())) })
	f := b.open()
	last, same := -1, 0
	b.eventually("a pause", func() bool {
		n := d.Count(pnp.OpRead)
		if n != last {
			last, same = n, 0
		}
		same++
		return n > 0 && same > 200
	})
	require.Less(t, last, 10)
	take(t, f, 1<<20)
	require.NoError(t, f.Close())
	b.handles(0)
}

// TestFlood: what the client does not take holds up the program, and what programs do
// meanwhile does not add up.
func TestFlood(t *testing.T) {
	b, _ := newForged(t, func(r *pnp.Request) {
		if r.Op != pnp.OpWrite {
			porttest.Obey(r)
		}
	})
	f := b.open()
	b.handles(1)
	written := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 2000 {
		change(t, f, func(s *unix.Termios) { speed(s, uint32(1000+i)) })
		require.NoError(t, f.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		n, _ := f.Write(make([]byte, 1000))
		written += n
		if i%10 == 0 {
			tcflush(t, f, unix.TCIFLUSH)
		}
	}
	// The terminal itself holds some, too.
	require.Less(t, written, 2*outputLimit)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
	require.NoError(t, f.Close())
}

// TestNotTaken: what the client does not take after the last close is dropped in the
// end, and the next program has a terminal that works.
func TestNotTaken(t *testing.T) {
	var stuck atomic.Bool
	stuck.Store(true)
	b, d := newForged(t, func(r *pnp.Request) {
		if r.Op != pnp.OpWrite || !stuck.Load() {
			porttest.Obey(r)
		}
	})
	b.term.Close()
	var err error
	b.term, err = newTerminal(b.dev, time.Millisecond)
	require.NoError(t, err)
	f := b.open()
	change(t, f, func(s *unix.Termios) { speed(s, 4000000) })
	require.NoError(t, f.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	_, _ = f.Write(make([]byte, 1<<20))
	b.eventually("a write", func() bool { return d.Count(pnp.OpWrite) > 0 })
	before, err := os.Readlink(b.path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	b.eventually("another terminal", func() bool { to, err := os.Readlink(b.path); return err == nil && to != before })
	stuck.Store(false)
	f = b.open()
	before2 := d.Count(pnp.OpWrite)
	give(t, f, []byte("x"))
	b.eventually("a write", func() bool { return d.Count(pnp.OpWrite) > before2 })
}

// TestGone: a device that is removed takes the terminal along, although it is silent.
func TestGone(t *testing.T) {
	b, _ := newForged(t, porttest.Obey)
	f := b.open()
	b.handles(1)
	b.pair.Client.Remove(b.id)
	requireHungUp(t, f)
	b.eventually("no link", func() bool { _, err := os.Lstat(b.path); return os.IsNotExist(err) })
}
