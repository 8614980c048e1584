// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
)

// testPipes: programs at the server talk to sockets of the client's machine, in either
// mode, and wait for the client.
func testPipes(t *testing.T, binary string, client servertest.ClientOptions) {
	dir := t.TempDir()
	var options []string
	for name, network := range map[string]string{"bytes": "unix", "messages": "unixpacket"} {
		path := filepath.Join(dir, name)
		l, err := net.Listen(network, path)
		require.NoError(t, err)
		defer l.Close()
		go echoAll(l)
		options = append(options, "pipe:"+path)
	}
	local := filepath.Join(dir, "local")
	p := launch(t, binary, "--pipe", "bytes=tcp:127.0.0.1:0", "--pipe", "messages=unix:"+local)
	port := p.says("bytes is at tcp:")
	require.Equal(t, local, p.says("messages is at unix:"))

	bytesPipe, err := net.Dial("tcp", port)
	require.NoError(t, err)
	messagesPipe, err := net.Dial("unix", local)
	require.NoError(t, err)
	client.Addr = p.addr
	client.Args = []string{"/dvc:pnpdr," + strings.Join(options, ",")}
	c := servertest.StartClient(t, client)
	for _, program := range []net.Conn{bytesPipe, messagesPipe} {
		require.NoError(t, program.SetDeadline(time.Now().Add(servertest.Patience)))
		for _, n := range []int{1, 1000, 1 << 20} {
			data := bytes.Repeat([]byte("0123456789abcdef")[:min(n, 16)], max(n/16, 1))
			go program.Write(data)
			got := make([]byte, len(data))
			_, err := io.ReadFull(program, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), "%d bytes were changed on the way", n)
		}
	}
	c.Kill()
	for _, program := range []net.Conn{bytesPipe, messagesPipe} {
		_, err := program.Read(make([]byte, 1))
		require.Error(t, err, "the client has gone")
		program.Close()
	}
}

// echoAll returns to each connection what it sends.
func echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			p := make([]byte, 1<<20)
			for {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				if _, err := c.Write(p[:n]); err != nil {
					return
				}
			}
		}()
	}
}
