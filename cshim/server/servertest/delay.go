// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Delayed returns an address that leads to addr with a round trip time of rtt, and as much
// bandwidth as there is.
func Delayed(t testing.TB, addr string, rtt time.Duration) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			go pass(near, far, rtt/2)
			go pass(far, near, rtt/2)
		}
	}()
	return ln.Addr().String()
}

// pass passes on what comes, after a while.
func pass(from, to net.Conn, delay time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	line := make(chan piece, 1<<14)
	go func() {
		defer close(line)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			line <- piece{time.Now().Add(delay), b[:n]}
		}
	}()
	var err error
	for p := range line {
		sleepUntil(p.due)
		if err == nil {
			_, err = to.Write(p.data)
		}
		if err == io.EOF {
			break
		}
	}
	to.Close()
	from.Close()
}

// sleepUntil is exact to some 0.1 ms. time.Sleep may take a millisecond more.
func sleepUntil(due time.Time) {
	if d := time.Until(due); d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil)
	}
}
