// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// TestBounds: what nobody reads waits in the socket, and the other end with it.
func TestBounds(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			s := listen(t, network)
			d := device(t, backend.Source{Path: s.path})
			c := open(t, d)
			other := s.next(t)
			const size, total = 1000, 4000
			sent := make(chan error, 1)
			go func() {
				for range total {
					if _, err := other.Write(make([]byte, size)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			require.Eventually(t, func() bool {
				got := peeked(c.control(FSCTL_PIPE_PEEK, "", peekHead).out)
				require.Less(t, got.available, uint32(2*maxUnread))
				require.LessOrEqual(t, got.messages, uint32(maxMessages))
				return got.available >= maxUnread || got.messages == maxMessages
			}, watchdog, 100*time.Microsecond)
			for got := 0; got < size*total; {
				r := c.read(1 << 20)
				require.Equal(t, pnp.S_OK, r.hr)
				got += r.n
			}
			require.NoError(t, <-sent)
		})
	}
}

// TestReceiveAtOnce: one piece is no longer than what is kept.
func TestReceiveAtOnce(t *testing.T) {
	s := listen(t, "unix")
	c, err := dial(s.path)
	require.NoError(t, err)
	defer c.close()
	send(t, s.next(t), string(make([]byte, 2*maxUnread)))
	p, err := c.tryReceive()
	require.NoError(t, err)
	require.NotEmpty(t, p)
	require.LessOrEqual(t, len(p), maxUnread)
}

// TestMemory: of the session's memory a handle takes what is unread, and gives it back. If
// it is used up, handles keep one message each, and there is no room for another handle.
func TestMemory(t *testing.T) {
	s := listen(t, "unixpacket")
	d := device(t, backend.Source{Path: s.path})
	memory := pnp.NewMemory(leastMemory + 3000)
	r := acceptance.ReadWrite
	r.Memory = memory
	h, err := d.Open(r)
	require.NoError(t, err)
	c := &client{t, h}
	other := s.next(t)
	message := string(make([]byte, 3000))
	for range 10 {
		send(t, other, message)
	}
	c.await(3 * 3000) // the last one did not fit
	require.EqualValues(t, 2*3000, memory.Taken())
	_, err = d.Open(r)
	require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, pnp.HRESULTOf(err))
	for range 9 {
		require.Equal(t, 3000, c.read(4000).n)
	}
	require.Equal(t, 3000, c.read(4000).n)
	require.EqualValues(t, leastMemory, memory.Taken())
	send(t, other, message, message)
	c.await(2 * 3000)
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
	require.Zero(t, memory.Taken())
}

// TestTooLong: a message that would take too much memory ends the connection.
func TestTooLong(t *testing.T) {
	s := listen(t, "unixpacket")
	c := open(t, device(t, backend.Source{Path: s.path}))
	other := s.next(t)
	raw, err := other.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*maxMessage)
	}))
	if err != nil {
		t.Skip("NOT TESTED: only root may send messages that long: ", err)
	}
	_, err = other.Write(make([]byte, maxMessage))
	require.NoError(t, err)
	require.Equal(t, maxMessage, c.read(2*maxMessage).n)
	_, err = other.Write(make([]byte, maxMessage+1))
	require.NoError(t, err)
	require.Equal(t, result{hr: pnp.ERROR_NO_SYSTEM_RESOURCES}, c.read(100))

	// And one that the socket can never take fails at once.
	require.Equal(t, result{hr: pnp.ERROR_NOT_ENOUGH_QUOTA}, c.write(string(make([]byte, 64<<20))))
}

// TestDescriptorsAreDropped: what the other end passes along with a message does not
// stay in this process.
func TestDescriptorsAreDropped(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		s := listen(t, network)
		c := open(t, device(t, backend.Source{Path: s.path}))
		other := s.next(t)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, _, err = other.WriteMsgUnix([]byte("take it"), unix.UnixRights(int(w.Fd())), nil)
		require.NoError(t, err)
		require.Equal(t, "take it", c.read(100).out)
		w.Close()
		_, err = r.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "somebody has the descriptor")
		r.Close()
	}
}
