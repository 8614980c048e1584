// SPDX-License-Identifier: Apache-2.0

package pipebridge_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shutdown shuts down the sending half of a connection.
func shutdown(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
}

// TestHalfClosed: a program that sends nothing more gets what the pipe still answers, until
// the pipe ends or is quiet.
func TestHalfClosed(t *testing.T) {
	for _, test := range []struct {
		name          string
		answer, quiet time.Duration
		says          []string
		ends          bool // the pipe does
	}{
		{"ends", time.Hour, time.Hour, []string{"an answer", "and more"}, true},
		{"quiet", time.Hour, time.Millisecond, []string{"an answer"}, false},
		{"silent", time.Millisecond, time.Hour, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := unixAddress(t)
			s := newSession(t)
			asked, goOn := make(chan string, 1), make(chan struct{})
			s.add("pipe", func(c io.ReadWriteCloser) {
				p := make([]byte, 100)
				n, _ := c.Read(p)
				asked <- string(p[:n])
				for _, text := range test.says {
					<-goOn
					io.WriteString(c, text)
				}
				if !test.ends {
					io.Copy(io.Discard, c)
				}
			})
			b := listen(t, address, nil)
			b.SetPatience(test.answer, test.quiet)
			b.Follow(context.Background(), s.remote, named("pipe"))
			c := dial(t, b)
			_, err := io.WriteString(c, "question")
			require.NoError(t, err)
			shutdown(t, c)
			require.Equal(t, "question", <-asked)
			for _, text := range test.says {
				goOn <- struct{}{}
				p := make([]byte, len(text))
				_, err = io.ReadFull(c, p)
				require.NoError(t, err)
				require.Equal(t, text, string(p))
			}
			rest, err := io.ReadAll(c)
			require.NoError(t, err)
			require.Empty(t, rest)
		})
	}
}

// TestHalfClosedThenGone: the handle of such a program is closed when it goes, however long
// an answer may take.
func TestHalfClosedThenGone(t *testing.T) {
	address := unixAddress(t)
	s := newSession(t)
	came, ended := make(chan struct{}), make(chan struct{})
	s.add("pipe", func(c io.ReadWriteCloser) {
		io.ReadFull(c, make([]byte, 3))
		came <- struct{}{}
		io.Copy(io.Discard, c)
		ended <- struct{}{}
	})
	b := listen(t, address, nil)
	b.SetPatience(time.Hour, time.Hour)
	b.Follow(context.Background(), s.remote, named("pipe"))
	for range 3 {
		c := dial(t, b)
		io.WriteString(c, "xyz")
		shutdown(t, c)
		<-came
		c.Close()
		<-ended
	}
}

// TestHalfClosedEarly: it may send nothing more before there is a device.
func TestHalfClosedEarly(t *testing.T) {
	address := unixAddress(t)
	s := newSession(t)
	b := listen(t, address, nil)
	b.Follow(context.Background(), s.remote, named("greeter"))
	c := dial(t, b)
	shutdown(t, c)
	s.add("greeter", func(c io.ReadWriteCloser) { io.WriteString(c, "hello") })
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(all))
}

// TestCallsOfHalfClosed: all calls of such a program are answered, and then it ends at once.
func TestCallsOfHalfClosed(t *testing.T) {
	s := newService(t, nil)
	s.bridge.SetPatience(time.Hour, time.Hour)
	c := s.bound()
	for range 3 {
		send(t, c, enumerate)
	}
	shutdown(t, c)
	for range 3 {
		require.Greater(t, answer(t, c, 2), 10)
	}
	_, err := c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}
