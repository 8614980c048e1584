// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// ServePipe makes a Unix socket that keeps messages apart (SOCK_SEQPACKET), until the test
// ends, and returns its path. serve is called for each connection, which is closed when it
// returns: it reads a stream, whatever the messages were, and each Write is a message.
func ServePipe(t testing.TB, serve func(c io.ReadWriteCloser)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	l, err := net.Listen("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(struct {
					io.Reader
					io.Writer
					io.Closer
				}{bufio.NewReaderSize(c, 1<<20), c, c})
			}()
		}
	}()
	return path
}
