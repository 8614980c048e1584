// SPDX-License-Identifier: Apache-2.0

package pipebridge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/devtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog ends what hangs.
const watchdog = time.Minute

// session is both ends of an RDP session.
type session struct {
	t      *testing.T
	client *client.Session
	remote *server.Session
	link   *memory.Link
}

func newSession(t *testing.T) *session {
	s := &session{t: t, client: client.NewSession(client.Config{})}
	s.link = memory.NewLink(s.client)
	s.remote = server.New(s.link, server.Config{})
	require.NoError(t, s.remote.Start(context.Background()))
	require.NoError(t, s.remote.LoggedOn())
	t.Cleanup(func() {
		s.remote.Close()
		s.link.Close()
		ctx, cancel := context.WithTimeout(context.Background(), watchdog)
		defer cancel()
		require.NoError(t, s.client.Close(ctx))
		require.Zero(t, s.client.Counts())
	})
	return s
}

// add redirects a pipe in message mode. serve has what was written as a stream.
func (s *session) add(name string, serve func(io.ReadWriteCloser)) (id uint32) {
	d, err := pipe.New(backend.Source{Path: devtest.ServePipe(s.t, serve), Description: pnp.Description{Name: name, HardwareIDs: []string{"X"}}})
	require.NoError(s.t, err)
	id, err = s.client.Add(d)
	require.NoError(s.t, err)
	return id
}

func echo(c io.ReadWriteCloser) { io.Copy(c, c) }

func named(name string) func(*server.Device) bool {
	return func(d *server.Device) bool { return d.Description().Name == name }
}

// listen makes a bridge for devices of a name.
func listen(t *testing.T, address string, log *slog.Logger) *pipebridge.Bridge {
	t.Helper()
	a, err := pipebridge.ParseAddress(address)
	require.NoError(t, err)
	require.Equal(t, address, a.String())
	b, err := pipebridge.Listen(a, log)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func dial(t *testing.T, b *pipebridge.Bridge) net.Conn {
	t.Helper()
	c, err := net.Dial(b.Addr().Network(), b.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(watchdog)))
	t.Cleanup(func() { c.Close() })
	return c
}

// says writes a text and expects an answer.
func says(t *testing.T, c net.Conn, text, answer string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	p := make([]byte, len(answer))
	_, err = io.ReadFull(c, p)
	require.NoError(t, err)
	require.Equal(t, answer, string(p))
}

func eachAddress(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("tcp", func(t *testing.T) { test(t, "tcp:127.0.0.1:0") })
	t.Run("unix", func(t *testing.T) { test(t, unixAddress(t)) })
}

func unixAddress(t *testing.T) string { return "unix:" + filepath.Join(t.TempDir(), "socket") }

// TestBytes: connections are handles of their own, and everything arrives, however long.
func TestBytes(t *testing.T) {
	eachAddress(t, func(t *testing.T, address string) {
		s := newSession(t)
		b := listen(t, address, nil)
		b.Follow(context.Background(), s.remote, named("echo"))
		s.add("other", func(c io.ReadWriteCloser) { io.WriteString(c, "wrong") })
		s.add("echo", echo)
		one, two := dial(t, b), dial(t, b)
		says(t, one, "one", "one")
		says(t, two, "two", "two")
		says(t, one, "three", "three")

		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		go one.Write(data)
		got := make([]byte, len(data))
		_, err := io.ReadFull(one, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	})
}

// TestLongMessage: a message that is longer than a read comes in parts.
func TestLongMessage(t *testing.T) {
	s := newSession(t)
	message := strings.Repeat("x", 100_000)
	s.add("long", func(c io.ReadWriteCloser) {
		io.WriteString(c, message+"end")
		io.Copy(io.Discard, c)
	})
	b := listen(t, "tcp:127.0.0.1:0", nil)
	b.Follow(context.Background(), s.remote, named("long"))
	says(t, dial(t, b), "", message+"end") // without a request
}

// TestWaits: a connection waits for the device, of whichever session, and for the next one
// after that has gone.
func TestWaits(t *testing.T) {
	first, second := newSession(t), newSession(t)
	b := listen(t, "tcp:127.0.0.1:0", nil)
	for _, s := range []*session{first, second} {
		b.Follow(context.Background(), s.remote, named("echo"))
	}
	c := dial(t, b)
	_, err := io.WriteString(c, "early")
	require.NoError(t, err)
	id := second.add("echo", echo)
	says(t, c, "", "early")

	second.client.Remove(id)
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err, "the device has gone")
	c = dial(t, b)
	_, err = io.WriteString(c, "again")
	require.NoError(t, err)
	second.add("echo", echo)
	says(t, c, "", "again")
}

// TestFirst: of several devices the one is used that came first, as long as it is there.
func TestFirst(t *testing.T) {
	b := listen(t, "tcp:127.0.0.1:0", nil)
	used := make(chan string, 1)
	gone := make(map[string]chan struct{})
	for _, name := range []string{"first", "second", "third"} {
		gone[name] = make(chan struct{})
		b.Add(func(context.Context) (pipebridge.Handle, error) {
			used <- name
			return nil, pnp.ERROR_ACCESS_DENIED
		}, gone[name])
	}
	use := func() string {
		dial(t, b)
		return <-used
	}
	require.Equal(t, "first", use())
	close(gone["second"])
	require.Equal(t, "first", use())
	close(gone["first"])
	require.Eventually(t, func() bool { return use() == "third" }, watchdog, time.Millisecond)
}

// TestNobodyWaits: a program that gives up while it waits leaves nothing behind.
func TestNobodyWaits(t *testing.T) {
	s := newSession(t)
	b := listen(t, "tcp:127.0.0.1:0", nil)
	for range 200 { // more than may wait
		c := dial(t, b)
		io.WriteString(c, "impatient")
		c.Close()
	}
	s.add("echo", echo)
	b.Follow(context.Background(), s.remote, named("echo"))
	says(t, dial(t, b), "patient", "patient")
}

// TestEnds: when either end closes, the other is closed, after what it had still to read.
func TestEnds(t *testing.T) {
	eachAddress(t, func(t *testing.T, address string) {
		s := newSession(t)
		came, ended := make(chan struct{}), make(chan struct{})
		s.add("pipe", func(c io.ReadWriteCloser) {
			p := make([]byte, 3)
			if io.ReadFull(c, p); string(p) == "bye" {
				io.WriteString(c, "last words")
				return
			}
			came <- struct{}{}
			io.Copy(io.Discard, c)
			ended <- struct{}{}
		})
		b := listen(t, address, nil)
		b.Follow(context.Background(), s.remote, named("pipe"))
		c := dial(t, b)
		says(t, c, "bye", "last words")
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)

		c = dial(t, b)
		io.WriteString(c, "xyz")
		<-came
		c.Close()
		<-ended

		c = dial(t, b)
		io.WriteString(c, "xyz")
		<-came
		b.Close()
		<-ended
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		_, err = net.Dial(b.Addr().Network(), b.Addr().String())
		require.Error(t, err)
	})
}

// TestLastWords: what a program writes arrives although it closes at once.
func TestLastWords(t *testing.T) {
	eachAddress(t, func(t *testing.T, address string) {
		s := newSession(t)
		got := make(chan string, 1)
		s.add("pipe", func(c io.ReadWriteCloser) {
			all, _ := io.ReadAll(c)
			got <- string(all)
		})
		b := listen(t, address, nil)
		b.Follow(context.Background(), s.remote, named("pipe"))
		text := strings.Repeat("goodbye ", 1<<15) // four writes
		for range 20 {
			c := dial(t, b)
			_, err := io.WriteString(c, text)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			all := <-got
			require.True(t, text == all, "%d of %d bytes", len(all), len(text))
		}
	})
}

// TestCannotBeOpened: the connection is closed, and the log says why.
func TestCannotBeOpened(t *testing.T) {
	var log devtest.Output
	b := listen(t, "tcp:127.0.0.1:0", log.Logger(slog.LevelInfo))
	b.Add(func(context.Context) (pipebridge.Handle, error) { return nil, pnp.ERROR_ACCESS_DENIED }, nil)
	_, err := dial(t, b).Read(make([]byte, 1))
	require.Error(t, err)
	b.Close()
	require.Contains(t, log.String(), "the device cannot be opened; the connection is closed")
	require.Contains(t, log.String(), "ERROR_ACCESS_DENIED")
}

// TestBound: no more than 64 programs are served at a time; another one is when one of
// them ends.
func TestBound(t *testing.T) {
	s := newSession(t)
	s.add("echo", echo)
	b := listen(t, "tcp:127.0.0.1:0", nil)
	b.Follow(context.Background(), s.remote, named("echo"))
	var open []net.Conn
	for range 64 {
		c := dial(t, b)
		says(t, c, "x", "x")
		open = append(open, c)
	}
	waiting := dial(t, b)
	io.WriteString(waiting, "y")
	assert.Equal(t, 64, s.client.Counts().Handles)
	open[7].Close()
	says(t, waiting, "", "y")
}

func TestParseAddress(t *testing.T) {
	for _, text := range []string{
		"", "unix", "unix:", "tcp:", "tcp:1234", "tcp:localhost:1234", "tcp:0.0.0.0:1234", "tcp:192.168.1.1:1234",
		"tcp:[::]:1234", "tcp:127.0.0.1:70000", "udp:127.0.0.1:1",
	} {
		_, err := pipebridge.ParseAddress(text)
		require.Error(t, err, text)
	}
	for _, text := range []string{"unix:/a:b", "tcp:127.0.0.1:0", "tcp:127.1.2.3:5", "tcp:[::1]:5"} {
		a, err := pipebridge.ParseAddress(text)
		require.NoError(t, err, text)
		require.Equal(t, text, a.String())
	}
}

// TestUnixSocket: only the user may connect to the socket, and it takes no other's place
// but that of one that nobody listens on.
func TestUnixSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 50)) // no socket has such an address
	require.NoError(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "socket")
	a, err := pipebridge.ParseAddress("unix:" + path)
	require.NoError(t, err)
	b, err := pipebridge.Listen(a, nil)
	require.NoError(t, err)
	require.Equal(t, path, b.Addr().String())
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o600, info.Mode())
	_, err = pipebridge.Listen(a, nil)
	require.ErrorContains(t, err, "address already in use")
	b.Close()
	require.NoFileExists(t, path)

	opened, err := os.Open(dir)
	require.NoError(t, err)
	defer opened.Close()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/socket", opened.Fd())})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	stale.Close()
	b, err = pipebridge.Listen(a, nil)
	require.NoError(t, err)
	defer b.Close()

	// Somebody else's is not removed.
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	b.Close()
	require.FileExists(t, path)
	_, err = pipebridge.Listen(a, nil)
	require.ErrorIs(t, err, os.ErrExist)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left")
}
