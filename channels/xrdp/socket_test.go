// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
)

// newPair returns a socket and the descriptor of its other end.
func newPair(t *testing.T) (*socket, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(pair[1]) })
	file := os.NewFile(uintptr(pair[0]), "")
	conn, err := net.FileConn(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	s, err := newSocket(conn.(*net.UnixConn))
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s, pair[1]
}

// TestSendOvertakesNothing: a message waits behind one that is being written.
func TestSendOvertakesNothing(t *testing.T) {
	sock, other := newPair(t)
	ch := newChannel(&session{}, channels.PNPDR, sock)
	require.NoError(t, ch.Send([]byte{1}))
	ch.queue = [][]byte{{2}}
	taken, _ := ch.take()
	require.NoError(t, ch.Send([]byte{3}))
	buf := make([]byte, 8)
	n, err := unix.Read(other, buf)
	require.NoError(t, err)
	require.Equal(t, []byte{1}, buf[:n])
	require.Equal(t, []byte{2}, taken)
	require.Equal(t, [][]byte{{3}}, ch.queue)
}

// TestOneMessageAtATime: the next message is sent when chansrv has taken the one before, and
// not while it waits in the socket.
func TestOneMessageAtATime(t *testing.T) {
	sock, other := newPair(t)
	ch := newChannel(&session{channels: make(map[*channel]struct{}), doubt: make(chan struct{}, 1)}, channels.PNPDR, sock)
	ch.receiver = nobody{}
	for i := range byte(64) {
		require.NoError(t, ch.Send([]byte{i}))
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = ch.write() }()
	for i := range byte(64) {
		buf := make([]byte, 1)
		_, err := unix.Read(other, buf)
		require.NoError(t, err)
		require.Equal(t, []byte{i}, buf)
		waiting, err := unix.IoctlGetInt(other, unix.SIOCINQ)
		require.NoError(t, err)
		require.LessOrEqual(t, waiting, 1)
	}
	ch.Close()
	<-ended
}

// TestShutdownEndsWaiting: whoever waits for chansrv in the kernel, to read or to write,
// goes on when the channel is closed.
func TestShutdownEndsWaiting(t *testing.T) {
	s, _ := newPair(t)
	msg := make([]byte, maxMessage)
	var err error
	for err == nil {
		err = s.send(msg, nil, unix.MSG_DONTWAIT)
	}
	require.Equal(t, unix.EAGAIN, err)
	written, read := make(chan error, 1), make(chan error, 1)
	go func() { written <- s.send(msg, nil, 0) }()
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	s.shutdown()
	require.Equal(t, unix.EPIPE, <-written)
	require.Equal(t, io.EOF, <-read)
}

// nobody is a receiver that nothing comes to.
type nobody struct{}

func (nobody) Receive([]byte) error { return nil }
func (nobody) Closed()              {}

// TestClosedAtBothEnds: a channel that is closed while chansrv closes it does not shut down
// the socket that has its number next.
func TestClosedAtBothEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // so that the two may meet anywhere
	s := &session{channels: make(map[*channel]struct{}), doubt: make(chan struct{}, 1)}
	for range 10_000 {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		ch := newChannel(s, channels.PNPDR, &socket{pair[0]})
		ch.receiver = nobody{}
		s.active.Add(1)
		go ch.run()
		closed := make(chan struct{})
		go func() { defer close(closed); ch.Close() }()
		require.NoError(t, unix.Close(pair[1]))
		var next [][2]int
		for range 6 {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			next = append(next, pair)
			runtime.Gosched()
		}
		s.active.Wait()
		<-closed
		for _, pair := range next {
			_, err := unix.Write(pair[0], []byte{1})
			require.NoError(t, err)
			require.NoError(t, unix.Close(pair[0]))
			require.NoError(t, unix.Close(pair[1]))
		}
	}
}
