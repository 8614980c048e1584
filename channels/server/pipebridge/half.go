// SPDX-License-Identifier: Apache-2.0

package pipebridge

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answers is the way to a program. It knows whether the program waits for an answer.
type answers struct {
	to      io.Writer
	awaited atomic.Bool   // nothing has come since the program last sent something
	came    chan struct{} // has a value if something has come
}

func newAnswers(to io.Writer) *answers {
	a := &answers{to: to, came: make(chan struct{}, 1)}
	a.awaited.Store(true)
	return a
}

// Write implements io.Writer.
func (a *answers) Write(p []byte) (int, error) {
	a.awaited.Store(false)
	select {
	case a.came <- struct{}{}:
	default:
	}
	return a.to.Write(p)
}

// sentAll is called when a program sends nothing more. It returns when there is nothing
// left to read for it: it has gone, or nothing comes any more, or ctx has ended. With RPC
// it also returns once taken is closed: then all calls are answered.
func (b *Bridge) sentAll(ctx context.Context, c net.Conn, out *answers, taken <-chan struct{}) {
	if !b.RPC {
		taken = nil
	}
	patience := func() time.Duration {
		if b.RPC || out.awaited.Load() {
			return b.answerTime
		}
		return b.quietTime
	}
	quiet := time.NewTimer(patience())
	defer quiet.Stop()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for !hasGone(c) {
		select {
		case <-out.came:
			quiet.Reset(patience())
		case <-quiet.C:
			return
		case <-taken:
			return
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// hasGone reports whether the program at the other end has closed c, and not only its
// sending half. TCP does not tell these apart.
func hasGone(c net.Conn) bool {
	if _, ok := c.(*net.UnixConn); !ok {
		return true
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(p, 0)
		gone = err == nil && p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
