// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
)

// shared adapts a port to the acceptance suite: opens wait for each other, since a
// port is exclusive, and a read returns as soon as there is data, which an application
// has to set up with timeouts.
type shared struct {
	*Device
	turn *sync.Mutex
}

type turn struct {
	pnp.Handle
	end func()
}

func (h turn) Close(released func()) {
	h.Handle.Close(released)
	h.end()
}

func (d shared) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if r.NoBlock {
		return d.Device.Open(r)
	}
	d.turn.Lock()
	h, err := d.Device.Open(r)
	if err != nil {
		d.turn.Unlock()
		return nil, err
	}
	q := &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_SERIAL_SET_TIMEOUTS,
		In: ulongs(maxULONG, maxULONG, maxULONG-1, 0, 0)}
	q.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { err = hr.Err() })
	h.Submit(q)
	if !q.Completed() || err != nil {
		return nil, errors.New("the timeouts were not taken at once")
	}
	return turn{h, d.turn.Unlock}, nil
}

func suiteControls() []acceptance.Control {
	control := func(name string, code uint32, in []byte, room int, result pnp.HRESULT, out []byte) acceptance.Control {
		return acceptance.Control{
			Template: acceptance.Template{Name: name, Op: pnp.OpIOControl, Code: code, In: in, Len: room},
			Result:   result, Out: out,
		}
	}
	return []acceptance.Control{
		control("set baud rate", IOCTL_SERIAL_SET_BAUD_RATE, ulongs(57600), 0, pnp.S_OK, nil),
		control("get baud rate", IOCTL_SERIAL_GET_BAUD_RATE, nil, 4, pnp.S_OK, ulongs(57600)),
		control("wait for nothing", IOCTL_SERIAL_WAIT_ON_MASK, nil, 4, pnp.ERROR_INVALID_PARAMETER, nil),
		control("escape", IOCTL_SERIAL_LSRMST_INSERT, []byte{1}, 0, pnp.ERROR_NOT_SUPPORTED, nil),
	}
}

func TestSuite(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, AnyOpen: true, New: func(t *testing.T) acceptance.Instance {
		b := newBench(t)
		return acceptance.Instance{
			Device: shared{b.dev, new(sync.Mutex)},
			Feed:   b.feed,
			Sink:   b.sink,
			Unplug: b.hangUp,
			Blocking: []acceptance.Template{
				{Name: "read", Op: pnp.OpRead, Len: 64},
				{Name: "write", Op: pnp.OpWrite, Len: 1 << 18},
			},
			Controls: suiteControls(),
		}
	}})
}

// waiting is a port that waits for an event as soon as it is open.
type waiting struct{ shared }

func (d waiting) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.shared.Open(r)
	if err != nil {
		return nil, err
	}
	q := &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_SERIAL_SET_WAIT_MASK, In: ulongs(SERIAL_EV_RXFLAG | SERIAL_EV_RING)}
	done := make(chan struct{})
	q.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { close(done) })
	h.Submit(q)
	<-done
	w := &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_SERIAL_WAIT_ON_MASK, Out: make([]byte, 4)}
	w.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {})
	h.Submit(w)
	return h, nil
}

// TestSuiteWhileWaiting runs the suite while an application waits for events, as
// applications do that read in the background.
func TestSuiteWhileWaiting(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, AnyOpen: true, New: func(t *testing.T) acceptance.Instance {
		b := newBench(t)
		return acceptance.Instance{
			Device: waiting{shared{b.dev, new(sync.Mutex)}},
			Feed:   b.feed,
			Sink:   b.sink,
			Unplug: b.hangUp,
			Blocking: []acceptance.Template{
				{Name: "read", Op: pnp.OpRead, Len: 64},
				{Name: "write", Op: pnp.OpWrite, Len: 1 << 18},
			},
		}
	}})
}

func TestOpenIsExclusive(t *testing.T) {
	o := openBench(t)
	_, err := o.dev.Open(acceptance.ReadWrite)
	require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
	r := acceptance.ReadWrite
	r.Access = 0
	_, err = o.dev.Open(r)
	require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
	o.close()
	o.bench.open()
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, pty := devtest.OpenPTY(t)
	for _, c := range []struct {
		path        string
		disposition uint32
		want        pnp.HRESULT
	}{
		{file, pnp.OPEN_EXISTING, pnp.ERROR_NOT_SUPPORTED},
		{"/dev/null", pnp.OPEN_EXISTING, pnp.ERROR_NOT_SUPPORTED},
		{file + "x", pnp.OPEN_ALWAYS, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{pty, pnp.CREATE_NEW, pnp.ERROR_FILE_EXISTS},
		{pty, 0, pnp.ERROR_INVALID_PARAMETER},
		{pty, 6, pnp.ERROR_INVALID_PARAMETER},
		{pty, pnp.CREATE_ALWAYS, pnp.S_OK},
		{pty, pnp.TRUNCATE_EXISTING, pnp.S_OK},
	} {
		d := device(t, c.path, false)
		for range 2 { // a failed open does not block the next one
			h, err := d.Open(pnp.OpenRequest{Access: acceptance.ReadWrite.Access, Disposition: c.disposition})
			require.Equal(t, c.want.Name(), pnp.HRESULTOf(err).Name(), "%+v", c)
			if err == nil {
				closed(h)
			}
		}
	}
	_, err := New(backend.Source{})
	require.Error(t, err)
}

func TestAccess(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		access      uint32
		readOnly    bool
		read, write pnp.HRESULT
	}{
		{pnp.GENERIC_READ | pnp.GENERIC_WRITE, false, pnp.S_OK, pnp.S_OK},
		{pnp.GENERIC_READ, false, pnp.S_OK, pnp.ERROR_ACCESS_DENIED},
		{pnp.GENERIC_WRITE, false, pnp.ERROR_ACCESS_DENIED, pnp.S_OK},
		{0, false, pnp.ERROR_ACCESS_DENIED, pnp.ERROR_ACCESS_DENIED},
		{pnp.GENERIC_READ | pnp.GENERIC_WRITE, true, pnp.S_OK, pnp.ERROR_ACCESS_DENIED},
	} {
		b.dev = device(t, b.path, c.readOnly)
		o := b.openAs(pnp.OpenRequest{Access: c.access, Disposition: pnp.OPEN_EXISTING})
		o.read(0).ends(c.read, "")
		o.write(nil).wrote(c.write, 0)
		o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{'x'}, 0).ends(c.write, "")
		o.set(IOCTL_SERIAL_SET_BAUD_RATE, 1200)
		if c.readOnly {
			o.control(IOCTL_SERIAL_SET_BREAK_ON, nil, 0).ends(pnp.ERROR_ACCESS_DENIED, "")
		}
		o.close()
	}
	d := device(t, b.path, true)
	_, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name())
}

func TestSettingsComeBack(t *testing.T) {
	b := newBench(t)
	before := b.termios()
	require.NotZero(t, before.Lflag&unix.ICANON)
	for range 3 {
		o := b.open()
		now := b.termios()
		require.Equal(t, raw(before), now)
		require.Zero(t, now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG))
		require.NotZero(t, now.Cflag&unix.CLOCAL)
		require.Equal(t, before.Ospeed, now.Ospeed)
		o.set(IOCTL_SERIAL_SET_BAUD_RATE, 12345)
		o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_CTS_HANDSHAKE, SERIAL_AUTO_TRANSMIT|SERIAL_ERROR_CHAR, 0, 0)
		require.NotEqual(t, raw(before), b.termios())
		o.close()
		require.Equal(t, before, b.termios())
	}
}

// TestCloseResumesOutput closes a port that IOCTL_SERIAL_SET_XOFF stopped.
func TestCloseResumesOutput(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_XOFF)
	w := o.write([]byte("held"))
	w.pending()
	o.beginClose()
	w.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	o.awaitRelease()
	again := o.bench.open()
	again.write([]byte("free")).wrote(pnp.S_OK, 4)
	require.Equal(t, "free", string(o.sink(4)))
}

// TestPseudoTerminalIsNotLocked: others can open a pseudo terminal, since TIOCEXCL
// could stay for ever.
func TestPseudoTerminalIsNotLocked(t *testing.T) {
	o := openBench(t)
	require.True(t, o.h.port.pseudo)
	require.False(t, o.h.port.hasLines)
	require.False(t, o.h.port.hasCounters)
	const TIOCGEXCL = 0x80045440 // linux: asm-generic/ioctls.h
	locked, err := unix.IoctlGetInt(o.h.port.fd, TIOCGEXCL)
	if err == nil {
		require.Zero(t, locked)
	}
	// Other terminals are exclusive while they are open.
	p := o.h.port
	p.pseudo = false
	require.NoError(t, p.exclusive(true))
	locked, err = unix.IoctlGetInt(p.fd, TIOCGEXCL)
	require.NoError(t, err)
	require.NotZero(t, locked)
	o.h.port.pseudo = false
	fd, err := unix.Open(o.path, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil { // root may
		defer unix.Close(fd)
	} else {
		require.Equal(t, unix.EBUSY, err)
	}
	o.close()
	fd, err = unix.Open(o.path, unix.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	locked, err = unix.IoctlGetInt(fd, TIOCGEXCL)
	require.NoError(t, err)
	require.Zero(t, locked)
}

func TestHangupEndsEverything(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_WAIT_MASK, SERIAL_EV_RING)
	o.set(IOCTL_SERIAL_SET_XOFF)
	calls := []*call{
		o.waitOnMask(), o.read(10), o.read(10), o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{1}, 0),
		o.write(make([]byte, 1<<18)), o.write([]byte("x")),
	}
	o.hangUp()
	for _, c := range calls {
		c.wait()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), c.hr.Name())
		require.Zero(t, c.n)
	}
	o.read(1).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
	o.write([]byte("x")).wrote(pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	for code, c := range controls {
		o.control(code, make([]byte, c.in), c.out).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
	}
	o.control(acceptance.UnknownControl, nil, 0).ends(pnp.ERROR_INVALID_FUNCTION, "")
}

// TestHangupKeepsWhatCame: the read that waits gets the data that came for it.
func TestHangupKeepsWhatCame(t *testing.T) {
	o := openBench(t)
	first, second := o.read(10), o.read(10)
	o.feed([]byte("part"))
	o.buffered(4)
	o.hangUp()
	first.ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "part")
	second.ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
}

// TestHangupFoundByAnIOControl: no request waits when the port goes.
func TestHangupFoundByAnIOControl(t *testing.T) {
	for _, code := range []uint32{IOCTL_SERIAL_SET_BAUD_RATE, IOCTL_SERIAL_SET_LINE_CONTROL, IOCTL_SERIAL_SET_CHARS,
		IOCTL_SERIAL_SET_HANDFLOW, IOCTL_SERIAL_SET_XOFF, IOCTL_SERIAL_PURGE} {
		o := openBench(t)
		o.hangUp()
		in := ulongs(SERIAL_PURGE_RXCLEAR, 0, 0, 0)
		if code == IOCTL_SERIAL_SET_LINE_CONTROL {
			in = []byte{0, 0, 8}
		}
		o.control(code, in, 0).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
		o.read(1).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
		o.close()
	}
}

// TestQuickRequestsAreAnsweredAtOnce: Submit completes them.
func TestQuickRequestsAreAnsweredAtOnce(t *testing.T) {
	o := openBench(t)
	for code, c := range controls {
		if c.quick == nil && code != IOCTL_SERIAL_IMMEDIATE_CHAR {
			continue
		}
		r := o.control(code, make([]byte, max(c.in, 4)), c.out).r
		require.True(t, r.Completed(), "0x%08X", code)
	}
	w := o.write([]byte("now"))
	require.True(t, w.r.Completed())
	o.feed([]byte("now"))
	o.arrived(3)
	r := o.read(3)
	require.True(t, r.r.Completed())
	r.ends(pnp.S_OK, "now")
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, maxULONG, 0, 0, 0, 0)
	r = o.read(3)
	require.True(t, r.r.Completed())
	r.ends(pnp.S_OK, "")
}

func TestSizesMatchTheLayout(t *testing.T) {
	for v, size := range map[any]int{
		timeouts{}: sizeTimeouts, lineControl{}: sizeLineControl, chars{}: sizeChars, handflow{}: sizeHandflow,
		queueSize{}: sizeQueueSize, status{}: sizeStatus, perfStats{}: sizePerfStats, commProp{}: sizeCommProp,
	} {
		require.Equal(t, size, binary.Size(v), "%T", v)
	}
	require.Equal(t, 80, binary.Size(counters{}), "struct serial_icounter_struct")
}

// TestWriteOnly: a handle that may not read gets events of arriving data.
func TestWriteOnly(t *testing.T) {
	b := newBench(t)
	o := b.openAs(pnp.OpenRequest{Access: pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_CONTROL|SERIAL_ERROR_ABORT, SERIAL_RTS_CONTROL, 0, 0)
	o.mask(SERIAL_EV_RXCHAR)
	c := o.waitOnMask()
	o.feed([]byte("abc"))
	c.happened(SERIAL_EV_RXCHAR)
	o.read(3).ends(pnp.ERROR_ACCESS_DENIED, "")
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
}
