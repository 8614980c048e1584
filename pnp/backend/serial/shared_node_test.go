// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// sibling is another device on the same port, with another path.
func (b *bench) sibling() *bench {
	b.t.Helper()
	link := filepath.Join(b.t.TempDir(), "link")
	require.NoError(b.t, os.Symlink(b.path, link))
	other := *b
	other.path, other.dev = link, device(b.t, link, false)
	return &other
}

// character is the port as a character device.
func (b *bench) character() *char.Device {
	b.t.Helper()
	d, err := char.New(backend.Source{Path: b.path, Description: pnp.Description{Name: "test"}})
	require.NoError(b.t, err)
	return d
}

// opening opens a device in the background, without root's privilege to open an
// exclusive terminal.
func opening(t *testing.T, d pnp.Device) <-chan pnp.Handle {
	opened := make(chan pnp.Handle, 1)
	go func() {
		defer close(opened)
		err := unprivileged(func() {
			h, err := d.Open(acceptance.ReadWrite)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			opened <- h
		})
		if err != nil {
			t.Error(err)
		}
	}()
	return opened
}

// closed closes a handle and waits until it is released.
func closed(h pnp.Handle) {
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
}

// unprivileged runs f without root's privilege to open an exclusive terminal. The
// privilege belongs to the thread.
func unprivileged(f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		return err
	}
	some := all
	some[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := unix.Capset(&header, &some[0]); err != nil {
		return err
	}
	f()
	return unix.Capset(&header, &all[0])
}

// TestTwoDevicesOnOnePort: the second waits until the first is closed, and finds the
// settings that the port had before both.
func TestTwoDevicesOnOnePort(t *testing.T) {
	b := newBench(t)
	before := b.termios()
	other := b.sibling()
	o := b.open()
	for range 2 {
		_, err := other.dev.Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
	}
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 1200)
	w := &wires{queue: 10} // sent before the port is restored
	o.h.port.driver = w
	o.beginClose()
	second := opening(t, other.dev)
	looked := w.timesLooked()
	require.Eventually(t, func() bool { return w.timesLooked() > looked+1 }, patience, tick)
	require.Empty(t, second)
	require.False(t, o.isReleased())
	w.change(func() { w.queue = 0 })
	h := <-second
	o.awaitRelease()
	require.Equal(t, raw(before), b.termios())
	_, err := b.dev.Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
	closed(h)
	require.Equal(t, before, b.termios())
}

// TestSerialAndCharacterDevice opens and closes both on one pseudo terminal, in every
// order: the last one to be released restores it.
func TestSerialAndCharacterDevice(t *testing.T) {
	for i := range 4 {
		serialFirst, serialLast := i&1 != 0, i&2 != 0
		b := newBench(t)
		before := b.termios()
		var o *opened
		if serialFirst {
			o = b.open()
		}
		c, err := b.character().Open(acceptance.ReadWrite)
		require.NoError(t, err)
		if !serialFirst {
			o = b.open()
		}
		require.Equal(t, raw(before), b.termios(), "serial first %v", serialFirst)
		o.set(IOCTL_SERIAL_SET_BAUD_RATE, 1200)
		o.handflow(0, SERIAL_ERROR_CHAR|SERIAL_AUTO_TRANSMIT)

		if serialLast {
			mine := b.termios()
			closed(c)
			require.Equal(t, mine, b.termios(), "the port keeps its settings while it is open")
			o.close()
		} else {
			o.close()
			require.Equal(t, devnode.Raw(before), b.termios(), "the character device is raw, as if it were alone")
			closed(c)
		}
		require.Equal(t, before, b.termios(), "serial first %v, last %v", serialFirst, serialLast)
	}
}

// TestReleasedIsRestored: when a handle is released, the port has its settings back,
// each time.
func TestReleasedIsRestored(t *testing.T) {
	b := newBench(t)
	before := b.termios()
	for i := range 60 {
		o := b.open()
		o.set(IOCTL_SERIAL_SET_BAUD_RATE, uint32(1200+i))
		var after unix.Termios
		o.closed = true
		o.h.Close(func() {
			after = b.termios()
			close(o.released)
		})
		o.awaitRelease()
		require.Equal(t, before, after, "%d", i)
	}
}

// TestNothingStays closes handles with all kinds of pending requests: nothing is left.
func TestNothingStays(t *testing.T) {
	b := newBench(t)
	ignore := goleak.IgnoreCurrent()
	pool := queue.NewPool(256, 32, nil)
	r := acceptance.ReadWrite
	r.Workers = pool.NewShare()
	for i := range 40 {
		o := b.openAs(r)
		w := &wires{}
		if i%2 == 0 {
			o.h.port.driver, o.h.port.hasLines, o.h.port.hasCounters = w, true, true
		}
		o.set(IOCTL_SERIAL_SET_TIMEOUTS, 0, 0, 1<<30, 0, 1<<30)
		o.mask(SERIAL_EV_CTS | SERIAL_EV_RING)
		o.set(IOCTL_SERIAL_SET_XOFF)
		calls := []*call{
			o.waitOnMask(), o.read(10), o.read(10), o.write([]byte("x")), o.write([]byte("y")),
			o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{1}, 0),
		}
		if i%2 == 0 {
			asked := w.timesAsked()
			require.Eventually(t, func() bool { return w.timesAsked() > asked }, patience, tick)
		}
		for _, c := range calls {
			c.pending()
		}
		o.close()
		for _, c := range calls {
			c.wait()
			require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), c.hr.Name())
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, pool.Wait(ctx))
	goleak.VerifyNone(t, ignore)
}

// TestSlots: requests that wait take none.
func TestSlots(t *testing.T) {
	b := newBench(t)
	pool := queue.NewPool(256, 32, nil)
	r := acceptance.ReadWrite
	r.Workers = pool.NewShare()
	o := b.openAs(r)
	hold := make(chan struct{})
	w := &wires{hold: hold}
	o.h.port.driver, o.h.port.hasLines = w, true
	o.mask(SERIAL_EV_RXCHAR)
	wait := o.waitOnMask()
	read, write := o.read(10), o.write(make([]byte, 1<<18))
	require.Eventually(t, func() bool { return pool.Running() == 0 }, patience, tick)
	o.feed([]byte("x"))
	wait.happened(SERIAL_EV_RXCHAR)
	// Asking for the lines takes one, and an IOControl in the driver another.
	mask := o.control(IOCTL_SERIAL_SET_WAIT_MASK, ulongs(SERIAL_EV_CTS), 0)
	o.atDriver(mask)
	require.Equal(t, 1, pool.Running())
	close(hold)
	mask.ends(pnp.S_OK, "")
	hold = make(chan struct{})
	w.change(func() { w.hold = hold })
	asked := w.timesAsked()
	wait = o.waitOnMask()
	require.Eventually(t, func() bool { return w.timesAsked() > asked }, patience, tick)
	status := o.control(IOCTL_SERIAL_GET_MODEMSTATUS, nil, 4)
	o.atDriver(status)
	require.Equal(t, 2, pool.Running())
	o.beginClose()
	for _, c := range []*call{wait, read, status} {
		c.ends(pnp.ERROR_OPERATION_ABORTED, "")
	}
	write.wait()
	require.False(t, o.isReleased())
	close(hold)
	o.awaitRelease()
}

// TestExclusivePort uses a port with TIOCEXCL, unlike a pseudo terminal. Nobody else
// can open it. An open while it is being closed waits, although TIOCEXCL is still set.
func TestExclusivePort(t *testing.T) {
	b := newBench(t)
	other, character := b.sibling(), b.character()
	for _, next := range []pnp.Device{character, other.dev} {
		o := b.open()
		w := &wires{queue: 10}
		o.h.port.driver, o.h.port.pseudo = w, false
		require.NoError(t, o.h.port.exclusive(true))
		require.NoError(t, unprivileged(func() {
			fd, err := unix.Open(o.path, unix.O_RDWR|unix.O_NOCTTY, 0)
			if err == nil {
				unix.Close(fd)
			}
			require.ErrorIs(t, err, unix.EBUSY)
			for _, d := range []pnp.Device{character, other.dev} {
				_, err := d.Open(acceptance.ReadWrite)
				require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
			}
		}))
		o.beginClose()
		second := opening(t, next)
		looked := w.timesLooked()
		require.Eventually(t, func() bool { return w.timesLooked() > looked+1 }, patience, tick)
		require.Empty(t, second)
		w.change(func() { w.queue = 0 })
		h := <-second
		require.NotNil(t, h)
		o.awaitRelease()
		closed(h)
	}
}

// TestAnotherProgramsPort: a port that another program has exclusively is refused.
func TestAnotherProgramsPort(t *testing.T) {
	b := newBench(t)
	fd, err := unix.Open(b.path, unix.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.IoctlSetInt(fd, unix.TIOCEXCL, 0))
	require.NoError(t, unprivileged(func() {
		_, err := b.dev.Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
		_, err = b.character().Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_BUSY.Name(), pnp.HRESULTOf(err).Name())
	}))
	require.NoError(t, unix.IoctlSetInt(fd, unix.TIOCNXCL, 0))
	b.open()
}
