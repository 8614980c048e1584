// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
)

// TestFastClient has a client send small messages faster than they are read: what
// waits for the Receiver is bounded.
func TestFastClient(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		const count, size = 40000, 1500
		_, s := f.client()
		e := newEndpoint(t)
		e.discard = true
		received, before, peak := 0, resident(t), int64(0)
		done := make(chan struct{})
		e.reject = func(msg []byte) error {
			received++
			if received%32 == 0 { // be slower than the client
				time.Sleep(time.Millisecond)
			}
			if received%1000 == 0 {
				peak = max(peak, resident(t))
			}
			if received == count {
				close(done)
			}
			return nil
		}
		if err := s.peer.Open(context.Background(), channels.PNPDR, e.attach); err != nil {
			t.Fatal(err)
		}
		e.send(binary.LittleEndian.AppendUint32([]byte("flood"), count))
		wait(t, done, "the flood does not end")
		t.Logf("grown by %d KiB while %d KiB arrived", (peak-before)>>10, count*size>>10)
		if peak-before > count*size/5 {
			t.Error("the messages pile up")
		}
		s.release()
	})
}

// resident returns the memory that this process uses, in bytes.
func resident(t *testing.T) (n int64) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscanf(string(statm), "%d %d", new(int64), &n)
	}
	if err != nil {
		t.Error(err)
	}
	return n * int64(os.Getpagesize())
}

// TestMaxMessage sends a message of the greatest length allowed, and one that is
// longer: its announcement ends the session.
func TestMaxMessage(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		f.listen(server.Config{MaxMessage: 1 << 20})
		_, s := f.client()
		e := s.open(channels.PNPDR)
		e.echo(pattern(1<<20, 1))
		e.send(pattern(1<<20+1, 2))
		s.ended()
		wait(t, e.closed, "the channel outlives its session")
		if n := len(e.arrived); n > 0 {
			t.Error("the message was delivered")
		}
	})
}

// TestMaxMessages sends messages that are long enough together on several channels. What
// was announced on a channel counts until it is closed, and then not any more.
func TestMaxMessages(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		f.listen(server.Config{MaxMessage: 1 << 20, MaxMessages: 5 << 19})
		_, s := f.client()
		long := pattern(1<<20, 1)
		for range 10 {
			e := s.open(channels.PNPDR)
			e.echo(long)
			e.echo(long)
			e.conn.Close()
			wait(t, e.closed, "the channel does not close")
		}
		first, second, third := s.open(channels.PNPDR), s.open(channels.PNPDR), s.open(channels.PNPDR)
		first.echo(long)
		second.echo(long)
		third.echo(long[:1<<19])
		first.echo(long)
		third.send(long[:1<<19+1])
		s.ended()
		wait(t, third.closed, "the channel outlives its session")
		if n := len(third.arrived); n > 0 {
			t.Error("the message was delivered")
		}
	})
}

// TestSilentConnections: connections that say nothing are few at a time, and keep
// nobody from being served.
func TestSilentConnections(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const pending = 4
	s, err := server.Listen("127.0.0.1:0", server.Config{Session: noSession, Pending: pending})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conns := dialSilently(t, s.Addr(), 5*pending)
	hungUp := make(chan error, 1)
	go func() {
		for _, c := range conns[:4*pending] {
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				hungUp <- fmt.Errorf("the server does not hang up: %v", err)
				return
			}
		}
		hungUp <- nil
	}()
	for {
		if n := server.Live().Peers; n > pending {
			t.Fatalf("%d peers", n)
		}
		select {
		case err := <-hungUp:
			if err != nil {
				t.Error(err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// TestServedAmongSilent serves a client among many that say nothing, and does not
// give it up for them once it is connected.
func TestServedAmongSilent(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		f.listen(server.Config{Pending: 4})
		dialSilently(t, f.server.Addr(), 20)
		_, s := f.client()
		e := s.open(channels.PNPDR)
		dialSilently(t, f.server.Addr(), 20)
		e.echo([]byte("still here"))
		s.release()
	})
}

// dialSilently connects n times, one after the other, until the end of the test.
func dialSilently(t *testing.T, addr net.Addr, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetReadDeadline(time.Now().Add(servertest.Patience)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return conns
}
