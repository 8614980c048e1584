// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/presenttest"
)

// answers is a file of which there are some bytes, or that has the client asked.
type answers struct {
	now       int
	mayAsk    bool
	refuse    bool   // the client cannot be asked after all
	meanwhile func() // while it is asked
	done      func(whole bool)
	cancelled int
}

func (a *answers) readNow(_, _ uint64, p []byte, _ uint32) (int, bool) {
	return copy(p[:a.now], "from memory"), a.mayAsk
}

func (a *answers) ask(_, _ uint64, p []byte, done func(int, bool)) (func(), bool) {
	a.done = func(whole bool) { done(copy(p, "from the client"), whole) }
	if a.meanwhile != nil {
		a.meanwhile()
	}
	return func() { a.cancelled++ }, !a.refuse
}

// TestQuickReads: each read is answered once, by whoever can; and by handle, which says here
// that it knows no reads, whatever goes wrong. What is played here is the kernel: it
// interrupts few of these reads.
func TestQuickReads(t *testing.T) {
	const unique = 77
	read := order.AppendUint32(order.AppendUint32(nil, inHeader+readBody), opRead)
	read = order.AppendUint64(read, unique)
	read = append(read, make([]byte, inHeader-len(read))...)
	read = order.AppendUint64(order.AppendUint64(read, 1), 0)         // fh, offset
	read = append(order.AppendUint32(read, 100), make([]byte, 20)...) // size

	const byHandle = ""
	for name, test := range map[string]struct {
		file   answers
		before func(c *conn, a *answers)
		then   func(c *conn, a *answers)
		quick  bool
		answer string
	}{
		"from memory":  {file: answers{now: 4}, quick: true, answer: "from"},
		"not possible": {file: answers{}},
		"refused":      {file: answers{mayAsk: true, refuse: true}},
		"asked": {
			file: answers{mayAsk: true}, quick: true, answer: "from the client",
			then: func(_ *conn, a *answers) { a.done(true) },
		},
		"short or failed": {
			file: answers{mayAsk: true}, quick: true,
			then: func(_ *conn, a *answers) { a.done(false) },
		},
		"interrupted": {
			file: answers{mayAsk: true}, quick: true,
			then: func(c *conn, a *answers) {
				interrupt := order.AppendUint32(order.AppendUint32(nil, inHeader+8), opInterrupt)
				interrupt = append(interrupt, make([]byte, inHeader-len(interrupt))...)
				interrupt = order.AppendUint64(interrupt, unique)
				c.handle(interrupt)
				c.handle(interrupt) // the kernel repeats it
				assert.Equal(t, 1, a.cancelled)
				a.done(true)
			},
		},
		"interrupted while it is asked": {
			file: answers{mayAsk: true}, quick: true,
			before: func(c *conn, a *answers) { a.meanwhile = func() { c.interrupted(unique) } },
			then:   func(_ *conn, a *answers) { a.done(false) },
		},
		"interrupted and refused": {
			file: answers{mayAsk: true, refuse: true}, quick: true,
			before: func(c *conn, a *answers) { a.meanwhile = func() { c.interrupted(unique) } },
		},
		"interrupted too late": {
			file: answers{mayAsk: true}, quick: true, answer: "from the client",
			then: func(c *conn, a *answers) {
				a.done(true)
				c.interrupted(unique)
				assert.Zero(t, a.cancelled)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			require.NoError(t, err)
			dev, kernel := os.NewFile(uintptr(pair[0]), ""), pair[1]
			defer dev.Close()
			defer unix.Close(kernel)
			c := newConn(dev, noOperations, presenttest.Log(t))
			c.quick = &test.file
			if test.before != nil {
				test.before(c, &test.file)
			}
			quick := c.tryRead(read)
			assert.Equal(t, test.quick, quick)
			if !quick {
				c.handle(read)
			}
			if test.then != nil {
				test.then(c, &test.file)
			}
			c.running.Wait()
			assert.Empty(t, c.asked)

			var all [][]byte
			for {
				buf := make([]byte, 200)
				n, err := unix.Read(kernel, buf)
				if err == unix.EAGAIN {
					break
				}
				require.NoError(t, err)
				if order.Uint64(buf[8:]) == unique { // and not of the interrupt
					all = append(all, buf[:n])
				}
			}
			require.Len(t, all, 1)
			b := all[0]
			require.EqualValues(t, len(b), order.Uint32(b))
			failed := int32(order.Uint32(b[4:]))
			if test.answer == byHandle {
				assert.EqualValues(t, -int(unix.ENOSYS), failed)
			} else {
				assert.Zero(t, failed)
				assert.Equal(t, test.answer, string(b[outHeader:]))
			}
		})
	}
}
