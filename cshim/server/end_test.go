// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
)

func TestRefused(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		attach := func(channels.ServerConn) channels.Receiver {
			t.Error("attach was called for a channel that was refused")
			return newEndpoint(t)
		}
		for _, name := range []string{"NoSuchChannel", "PNPDR2", "X"} {
			if err := s.peer.Open(context.Background(), name, attach); err != channels.ErrRefused {
				t.Errorf("open %s: %v", name, err)
			}
		}
		for _, name := range []string{"", "PNPDR\x00"} {
			if err := s.peer.Open(context.Background(), name, attach); err == nil {
				t.Errorf("open %q succeeds", name)
			}
		}
		s.open(channels.PNPDR).echo([]byte("still here"))
		if live := server.Live().Channels; live != 1 {
			t.Errorf("%d channels are alive, want 1", live)
		}
		s.release()
	})
}

// TestOpenCancelled gives up while the client is stopped. The client later
// accepts a channel that nobody waits for.
func TestOpenCancelled(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, s := f.client()
		attach := func(channels.ServerConn) channels.Receiver {
			t.Error("attach was called for a channel that was given up")
			return newEndpoint(t)
		}
		ctx, cancel := context.WithCancel(context.Background())
		c.Stop()
		result := make(chan error, 1)
		go func() { result <- s.peer.Open(ctx, channels.PNPDR, attach) }()
		for server.Live().Channels == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("open: %v", err)
		}
		if err := s.peer.Open(ctx, channels.PNPDR, attach); err != context.Canceled {
			t.Errorf("open, cancelled before: %v", err)
		}
		c.Continue()
		s.open(channels.PNPDR).echo([]byte("still here"))
		// The client answers in order, so the other channel is gone by now.
		if live := server.Live().Channels; live != 1 {
			t.Errorf("%d channels are alive, want 1", live)
		}
		s.release()
	})
}

func TestChannelCloses(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		for _, test := range []struct {
			name string
			end  func(e *endpoint)
		}{
			{"by the server", func(e *endpoint) { e.conn.Close() }},
			{"by the client", func(e *endpoint) { e.send([]byte("close")) }},
			{"by the receiver", func(e *endpoint) { e.send([]byte("bad")) }},
		} {
			e := newEndpoint(t)
			e.reject = func(msg []byte) error {
				if string(msg) == "bad" {
					return errors.New("bad message")
				}
				return nil
			}
			if err := s.peer.Open(context.Background(), channels.PNPDR, e.attach); err != nil {
				t.Fatal(err)
			}
			e.echo([]byte(test.name))
			test.end(e)
			wait(t, e.closed, test.name+": the channel does not close")
			if err := e.conn.Send([]byte("x")); err != channels.ErrClosed {
				t.Errorf("%s: send after the end: %v", test.name, err)
			}
			e.conn.Close()
			e.conn.Close()
		}
		s.open(channels.PNPDR).echo([]byte("still here"))
		s.release()
	})
}

// TestClientLearnsOfClose: the client learns at once that a Receiver has refused a message,
// although nothing else happens in the session.
func TestClientLearnsOfClose(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		const said = "the channel has closed"
		c, s := f.clientWith("/dvc:pnpdr," + said)
		e := newEndpoint(t)
		e.reject = func([]byte) error { return errors.New("bad message") }
		if err := s.peer.Open(context.Background(), channels.PNPDR, e.attach); err != nil {
			t.Fatal(err)
		}
		e.send([]byte("bad"))
		c.WaitOutput(said)
		s.release()
	})
}

func TestSendChecks(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		e := s.open(channels.PNPDR)
		if err := e.conn.Send(nil); err == nil {
			t.Error("an empty message was sent")
		}
		msg := []byte("mine")
		e.send(msg)
		copy(msg, "over")
		if got := string(e.receive()); got != "mine" {
			t.Errorf("Send has kept the caller's memory: got %q", got)
		}
		s.release()
	})
}

// TestPanic: a Receiver that panics costs its session, and nothing else.
func TestPanic(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		for _, test := range []string{"attach", "Receive"} {
			c, s := f.client()
			e := newEndpoint(t)
			e.reject = func([]byte) error { panic("on purpose") }
			attach := e.attach
			if test == "attach" {
				attach = func(channels.ServerConn) channels.Receiver { panic("on purpose") }
			}
			err := s.peer.Open(context.Background(), channels.PNPDR, attach)
			if test == "Receive" {
				if err != nil {
					t.Fatal(err)
				}
				e.send([]byte("x"))
				wait(t, e.closed, "the channel does not close")
			} else if err != channels.ErrClosed {
				t.Errorf("open with a panic: %v", err)
			}
			s.ended()
			c.Kill()
		}
		_, s := f.client()
		s.open(channels.PNPDR).echo([]byte("still here"))
		s.release()
	})
}

// busy opens channels that echo without end. It returns once data flows, with a
// function that waits for the end of all of it.
func busy(s *session) (finished func()) {
	t := s.f.t
	t.Helper()
	var endpoints []*endpoint
	stop := make(chan struct{})
	flowing := make(chan struct{}, 1<<10)
	done := make(chan error, 4)
	for i := 0; i < 4; i++ {
		e := newEndpoint(t)
		e.reject = func([]byte) error {
			select {
			case flowing <- struct{}{}:
			default:
			}
			select {
			case <-stop:
			default:
				// The message only keeps the client busy; the error is
				// ErrClosed in the end.
				_ = e.conn.Send(make([]byte, 300<<10))
			}
			return nil
		}
		if err := s.peer.Open(context.Background(), channels.FileRedirectorChannel, e.attach); err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, e)
		e.send(make([]byte, 1<<20))
	}
	wait(t, flowing1(flowing), "nothing flows")
	// One is being opened when the session ends.
	go func() {
		for {
			e := newEndpoint(t)
			if err := s.peer.Open(context.Background(), channels.PNPDR, e.attach); err != nil {
				done <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		s.ended()
		close(stop)
		for _, e := range endpoints {
			wait(t, e.closed, "a channel outlives its session")
			if err := e.conn.Send([]byte("x")); err != channels.ErrClosed {
				t.Errorf("send after the end: %v", err)
			}
		}
		if err := <-done; err != channels.ErrClosed {
			t.Errorf("open after the end: %v", err)
		}
	}
}

func flowing1(flowing <-chan struct{}) <-chan struct{} {
	first := make(chan struct{})
	go func() {
		<-flowing
		close(first)
	}()
	return first
}

func TestClientVanishes(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			c, s := f.client()
			finished := busy(s)
			c.Signal(sig)
			finished()
		}
	})
}

func TestServerVanishes(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, s := f.client()
		finished := busy(s)
		s.peer.Kill()
		finished()
		// The client may react as it likes, but it must notice.
		c.Wait()
	})
}

func TestSessionReturns(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, s := f.client()
		finished := busy(s)
		s.release()
		finished()
		c.Wait()
	})
}

func TestCloseEndsSessions(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c1, s1 := f.client()
		c2, s2 := f.client()
		finished1, finished2 := busy(s1), busy(s2)
		if err := f.server.Close(); err != nil {
			t.Error(err)
		}
		finished1()
		finished2()
		c1.Wait()
		c2.Wait()
	})
}

// TestStoppedClient ends sessions whose client does not read.
func TestStoppedClient(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, s := f.client()
		finished := busy(s)
		c.Stop()
		s.release()
		finished()
		c.Continue()
		c.Wait()
	})
}

// TestCloseOfStoppedClient closes a channel of a client that does not read, which
// then goes on with the others.
func TestCloseOfStoppedClient(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, s := f.client()
		e, other := s.open(channels.FileRedirectorChannel), s.open(channels.FileRedirectorChannel)
		c.Stop()
		for range 64 {
			e.send(make([]byte, 1<<20))
		}
		e.conn.Close()
		wait(t, e.closed, "the channel does not close")
		c.Continue()
		other.echo([]byte("still here"))
		s.release()
	})
}

func TestClientWithoutChannels(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c := servertest.StartClient(t, servertest.ClientOptions{
			Binary:  f.binary,
			Addr:    f.server.Addr().String(),
			Display: f.display,
			Args:    []string{"-dynamic-resolution"},
		})
		select {
		case s := <-f.sessions: // the client loads drdynvc for other channels
			attach := func(channels.ServerConn) channels.Receiver { return newEndpoint(t) }
			if err := s.peer.Open(context.Background(), channels.PNPDR, attach); err != channels.ErrRefused {
				t.Errorf("open: %v", err)
			}
			s.release()
		case <-c.Done():
		case <-time.After(servertest.Patience):
			t.Fatal("the client is neither served nor disconnected")
		}
		c.Wait()
	})
}
