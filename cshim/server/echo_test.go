// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"freerdp-pnpdr/channels"
)

func TestEcho(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		for _, name := range []string{channels.PNPDR, channels.FileRedirectorChannel} {
			e := s.open(name)
			// 1600 bytes is FreeRDP's chunk, 0x10000 our buffer.
			for i, n := range []int{1, 2, 255, 1590, 1591, 1592, 1593, 1594, 1595, 1596, 1597, 1598,
				1599, 1600, 1601, 4096, 0xFFFF, 0x10000, 0x10001, 1 << 20, 2 << 20} {
				e.echo(pattern(n, i))
			}
		}
		s.release()
	})
}

func TestOutstanding(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		e := s.open(channels.FileRedirectorChannel)
		const outstanding, total = 32, 2000
		for i := 0; i < total+outstanding; i++ {
			if i < total {
				e.send(pattern(1+i%3000, i))
			}
			if n := i - outstanding; n >= 0 && !bytes.Equal(e.receive(), pattern(1+n%3000, n)) {
				t.Fatalf("message %d differs from what was sent", n)
			}
		}
		s.release()
	})
}

// TestManyChannels opens 2000 channels, 300 of them at a time, and ends them in
// every possible way.
func TestManyChannels(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		endpoints := make([]*endpoint, 2000)
		slots := make(chan struct{}, 300)
		var opening sync.WaitGroup
		for i := range endpoints {
			e := newEndpoint(t)
			endpoints[i] = e
			opening.Add(1)
			slots <- struct{}{}
			go func() {
				defer opening.Done()
				if err := s.peer.Open(context.Background(), channels.FileRedirectorChannel, e.attach); err != nil {
					t.Errorf("channel %d: %v", i, err)
				}
				<-slots
			}()
		}
		opening.Wait()
		if t.Failed() {
			return
		}
		for i, e := range endpoints {
			e.send(pattern(1+i%100, i))
		}
		for i, e := range endpoints {
			if !bytes.Equal(e.receive(), pattern(1+i%100, i)) {
				t.Fatalf("channel %d: the echo differs", i)
			}
		}
		for i, e := range endpoints {
			switch i % 3 {
			case 0:
				e.conn.Close()
			case 1:
				e.send([]byte("close"))
			default: // ends with the session
				continue
			}
			if i%100 < 3 {
				wait(t, e.closed, "the channel does not close")
			}
		}
		e := s.open(channels.PNPDR)
		e.echo([]byte("still here"))
		s.release()
		s.ended()
		for _, e := range endpoints {
			wait(t, e.closed, "a channel outlives its session")
		}
	})
}

// TestDuplexFlood sends far more than all buffers hold before it reads
// anything. A server that waits for the client, which waits for the server,
// would never finish.
func TestDuplexFlood(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		const size, count = 64 << 10, 1024 // 64 MiB each way
		sent := pattern(size, 0)
		e := s.open(channels.FileRedirectorChannel)
		for i := 0; i < count; i++ {
			sent[0], sent[1] = byte(i), byte(i>>8)
			e.send(sent)
		}
		for i := 0; i < count; i++ {
			sent[0], sent[1] = byte(i), byte(i>>8)
			if !bytes.Equal(e.receive(), sent) {
				t.Fatalf("message %d differs from what was sent", i)
			}
		}
		s.release()
	})
}

func TestTwoClients(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s1 := f.client()
		_, s2 := f.client()
		var both sync.WaitGroup
		for n, s := range []*session{s1, s2} {
			e := s.open(channels.PNPDR)
			both.Add(1)
			go func() {
				defer both.Done()
				for i := 0; i < 200; i++ {
					msg := pattern(1+i*37, i*2+n)
					if err := e.conn.Send(msg); err != nil {
						t.Error(err)
						return
					}
					got, err := e.next()
					if err != nil || !bytes.Equal(got, msg) {
						t.Errorf("client %d: message %d differs from what was sent: %v", n, i, err)
						return
					}
				}
			}()
		}
		both.Wait()
		// The end of one does not affect the other.
		s1.release()
		s1.ended()
		s2.open(channels.PNPDR).echo([]byte("still here"))
		s2.release()
	})
}
