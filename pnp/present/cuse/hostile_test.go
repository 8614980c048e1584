// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
)

// TestSilent: whatever the client does not answer, programs can be interrupted, and the
// terminal goes when it is told to.
func TestSilent(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent func(*pnp.Request) bool
		do     func(o opened, ctx context.Context) unix.Errno
	}{
		{"lines", func(r *pnp.Request) bool { return r.Code == serial.IOCTL_SERIAL_GET_MODEMSTATUS },
			func(o opened, ctx context.Context) unix.Errno {
				_, errno := o.ioctl(ctx, unix.TIOCMGET, 0x1000, nil)
				return errno
			}},
		{"writes", func(r *pnp.Request) bool { return r.Op == pnp.OpWrite },
			func(o opened, ctx context.Context) unix.Errno {
				for {
					if _, errno := o.write(ctx, make([]byte, 10000), 0); errno != 0 {
						return errno
					}
				}
			}},
		{"purge", func(r *pnp.Request) bool { return r.Code == serial.IOCTL_SERIAL_PURGE },
			func(o opened, ctx context.Context) unix.Errno {
				_, errno := o.ioctl(ctx, unix.TCFLSH, unix.TCIFLUSH, nil)
				return errno
			}},
		{"speed", func(r *pnp.Request) bool { return r.Code == serial.IOCTL_SERIAL_SET_BAUD_RATE && r.In[0] == 77 },
			func(o opened, ctx context.Context) unix.Errno {
				t := o.termios()
				setSpeed(&t, 77)
				_, errno := o.ioctl(ctx, unix.TCSETS2, 0x1000, appendTo(nil, t))
				return errno
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := porttest.NewForged("meter", func(r *pnp.Request) {
				if !c.silent(r) {
					porttest.Obey(r)
				}
			})
			d.Deaf = true
			b := newBench(t, d)
			o := b.mustOpen()
			for range maxCalls + 2 {
				errno := c.do(o, brief(t))
				require.Contains(t, []unix.Errno{unix.EINTR, unix.EBUSY}, errno)
				if errno == unix.EBUSY {
					break
				}
			}
			require.NotZero(t, o.termios().Cflag) // others go on
		})
	}
}

// TestLate: an answer that comes after the program was interrupted does no harm. The race
// detector finds it if it is.
func TestLate(t *testing.T) {
	fast := port.InitialTermios()
	setSpeed(&fast, 77)
	for _, c := range []struct {
		request, code uint32
		in            []byte
	}{
		{unix.TIOCMGET, serial.IOCTL_SERIAL_GET_MODEMSTATUS, nil},
		{unix.TIOCOUTQ, serial.IOCTL_SERIAL_GET_COMMSTATUS, nil},
		{unix.TCSETS2, serial.IOCTL_SERIAL_SET_BAUD_RATE, appendTo(nil, fast)},
		{unix.TIOCSRS485, serial.IOCTL_SERIAL_SET_HANDFLOW, append(order.AppendUint32(nil, rs485Enabled|rs485RTSOnSend), make([]byte, rs485Size-4)...)},
	} {
		var open atomic.Bool
		answered := make(chan struct{})
		d := porttest.NewForged("meter", func(r *pnp.Request) {
			if r.Code != c.code || !open.Load() {
				porttest.Obey(r)
				return
			}
			time.AfterFunc(200*time.Millisecond, func() {
				porttest.Obey(r)
				close(answered)
			})
		})
		d.Deaf = true
		o := newBench(t, d).mustOpen()
		open.Store(true)
		_, errno := o.ioctl(brief(t), c.request, 0x1000, c.in)
		require.Contains(t, []unix.Errno{unix.EINTR, 0}, errno)
		<-answered
		time.Sleep(50 * time.Millisecond) // for whoever waited for it
	}
}

// TestSilentOpen: an open that the client does not answer can be interrupted.
func TestSilentOpen(t *testing.T) {
	b := newBench(t, porttest.NewForged("meter", func(*pnp.Request) {}))
	_, errno := b.open(brief(t))
	require.Equal(t, unix.EINTR, errno)
}

// TestNotTaken: what the client does not take after the last close is dropped in the
// end, and the next open need not wait any longer.
func TestNotTaken(t *testing.T) {
	b := newBench(t, porttest.NewForged("meter", func(r *pnp.Request) {
		if r.Op != pnp.OpWrite {
			porttest.Obey(r)
		}
	}))
	b.v.limit = time.Millisecond
	o := b.mustOpen()
	o.change(unix.TCSETS2, func(s *unix.Termios) { setSpeed(s, 4000000) })
	o.writeAll([]byte("x"))
	o.close()
	b.mustOpen()
}

// TestEndless: data that nobody reads stays at the client.
func TestEndless(t *testing.T) {
	d := porttest.NewForged("meter", func(r *pnp.Request) { r.Complete(pnp.S_OK, len(r.Buffer())) })
	b := newBench(t, d)
	o := b.mustOpen()
	b.eventually("input", func() bool { return o.number(unix.TIOCINQ) == inputLimit })
	reads := d.Count(pnp.OpRead)
	require.LessOrEqual(t, reads, inputLimit/inputSize)
	o.readAll(1 << 20)
	b.eventually("input", func() bool { return o.number(unix.TIOCINQ) == inputLimit })
}

// TestNonsense: requests that the kernel does not send are refused.
func TestNonsense(t *testing.T) {
	b := newBench(t, porttest.NewForged("meter", porttest.Obey))
	o := b.mustOpen()
	for op := uint32(0); op < 60; op++ {
		if op == opInterrupt {
			continue // has no reply
		}
		for _, n := range []int{0, 1, 7, 8, 31, 39} {
			<-b.send(op, 1000, make([]byte, n))
		}
	}
	r := <-b.send(opIoctl, 1000, appendTo(nil, ioctlIn{FH: o.fh, Cmd: unix.TCSETS2, InSize: 5, OutSize: 0}))
	require.Equal(t, unix.EPROTO, r.err)
	require.NotZero(t, o.termios().Cflag)
}
