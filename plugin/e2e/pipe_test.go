// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/pipe"
)

// TestPipes: a pipe in message mode, and the Server Service, in a session that ends while
// reads wait on both.
func TestPipes(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unixpacket", path)
		require.NoError(t, err)
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					p := make([]byte, 1000)
					for {
						n, err := c.Read(p)
						if err != nil {
							return
						}
						if _, err := c.Write(append([]byte("answer to "), p[:n]...)); err != nil {
							return
						}
					}
				}()
			}
		}()

		c, r := f.connect("pipe:" + path + ",name:asked,srvsvc:read-only,loopback")
		h := r.open("asked")
		p := make([]byte, 100)
		n, err := h.IOControl(r.ctx, pipe.FSCTL_PIPE_TRANSCEIVE, []byte("one"), p)
		require.NoError(t, err)
		require.Equal(t, "answer to one", string(p[:n]))
		n, err = h.IOControl(r.ctx, pipe.FSCTL_PIPE_TRANSCEIVE, []byte("two"), p[:6])
		hresult(t, pnp.ERROR_MORE_DATA, err)
		require.Equal(t, "answer", string(p[:n]))
		n, err = h.ReadAt(r.ctx, p, 0)
		require.NoError(t, err)
		require.Equal(t, " to two", string(p[:n]))

		// NetrRemoteTOD, without a bind: the service hangs up.
		service := r.open("srvsvc")
		n, err = service.IOControl(r.ctx, pipe.FSCTL_PIPE_TRANSCEIVE,
			[]byte{5, 0, 0, 3, 0x10, 0, 0, 0, 28, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0, 0}, p)
		require.NoError(t, err)
		require.EqualValues(t, 3, p[2], "a fault")
		require.NotZero(t, n)
		_, err = service.ReadAt(r.ctx, p, 0)
		hresult(t, pnp.ERROR_BROKEN_PIPE, err)

		service = r.open("srvsvc")
		for _, waiting := range []interface {
			ReadAt(context.Context, []byte, uint64) (int, error)
		}{h, service} {
			go func() { _, _ = waiting.ReadAt(context.Background(), make([]byte, 10), 0) }()
		}
		_, err = service.IOControl(r.ctx, pipe.FSCTL_PIPE_PEEK, nil, p[:16])
		require.NoError(t, err)
		r.finish(c)
	})
}
