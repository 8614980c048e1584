// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// TestTransport runs itself in a session, where it is the program that uses the
// client's device.
func TestTransport(t *testing.T) {
	if os.Getenv(inSession) != "" {
		t.Run("traffic", traffic)
		t.Run("reconnect", reconnect)
		return
	}
	eachClient(t, func(t *testing.T, x *xrdpserver.Server, binary string) {
		connect := func() (*servertest.Client, *xrdpserver.Session) {
			return x.Connect(t, binary, xrdpserver.Alice, "/dvc:pnpdr,loopback")
		}
		c, s := connect()
		wanted := filepath.Join(xrdpserver.Root, s.Home(), clientFile)
		require.NoError(t, os.WriteFile(wanted, nil, 0o666))
		require.NoError(t, os.Chown(wanted, int(s.ID), int(s.ID)))

		cmd := s.Command("/usr/bin/inside", "-test.v", "-test.run", "^TestTransport$")
		cmd.Env = append(cmd.Env, inSession+"=1")
		ended := make(chan error, 1)
		var output []byte
		go func() {
			var err error
			output, err = cmd.CombinedOutput()
			ended <- err
		}()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for connected := true; ; {
			select {
			case err := <-ended:
				t.Logf("%s", output)
				require.NoError(t, err)
				return
			case <-tick.C:
			}
			content, err := os.ReadFile(wanted)
			switch {
			case err != nil && connected:
				c.Kill()
				<-c.Done()
			case err == nil && !connected:
				c, _ = connect()
			case string(content) == takeOver:
				require.NoError(t, os.WriteFile(wanted, nil, 0o666))
				c, _ = connect()
			}
			connected = err == nil
		}
	})
}

const (
	// clientFile is in the user's folder as long as a client shall be connected.
	clientFile = "client"
	// takeOver in it has another client connect, although one is.
	takeOver = "another"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// join waits until a client is connected.
func join(t *testing.T, ctx context.Context) insession.Session {
	t.Helper()
	for {
		s, err := insession.Join(ctx, os.Getenv, nil, xrdp.Server{OpenTimeout: 5 * time.Second, ProbeTimeout: 15 * time.Second})
		if err == nil {
			t.Cleanup(s.Close)
			return s
		}
		t.Log(err)
		require.NoError(t, ctx.Err())
		time.Sleep(200 * time.Millisecond)
	}
}

func start(t *testing.T, ctx context.Context, s insession.Session) (*server.Session, *server.Device) {
	t.Helper()
	role := server.New(s, server.Config{})
	t.Cleanup(role.Close)
	require.NoError(t, role.Start(ctx))
	require.NoError(t, role.LoggedOn())
	d, err := role.WaitDevice(ctx, nil)
	require.NoError(t, err)
	return role, d
}

// traffic: as many handles as there may be, requests of all sizes at once.
func traffic(t *testing.T) {
	ctx := within(t)
	role, d := start(t, ctx, join(t, ctx))
	assert.Equal(t, loopback.DefaultDescription().Name, d.Description().Name)
	var handles []*server.Handle
	for {
		h, err := d.Open(ctx, server.OpenOptions{})
		if errors.Is(err, xrdp.ErrTooManyChannels) {
			break
		}
		require.NoError(t, err)
		handles = append(handles, h)
	}
	require.Len(t, handles, 14)

	var all sync.WaitGroup
	for i, h := range handles {
		all.Add(1)
		go func() {
			defer all.Done()
			off := uint64(i) * loopback.Size / 16
			for range 40 {
				n := rand.IntN(1 << rand.IntN(17))
				data := bytes.Repeat([]byte{byte(rand.Uint32())}, n)
				if got, err := h.WriteAt(ctx, data, off); err != nil || got != n {
					t.Errorf("a write of %d: %d, %v", n, got, err)
					return
				}
				back := make([]byte, n)
				if got, err := h.ReadAt(ctx, back, off); err != nil || got != n || !bytes.Equal(data, back) {
					t.Errorf("a read of %d: %d, %v", n, got, err)
					return
				}
			}
		}()
	}
	all.Wait()

	h := handles[0]
	for range 1000 { // without waiting
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := h.WriteAt(ctx, make([]byte, rand.IntN(300)), 0); err != nil {
				t.Errorf("one of many writes: %v", err)
			}
		}()
	}
	all.Wait()

	const longest = 32<<10 - 21
	in, out := make([]byte, longest), make([]byte, longest)
	_, _ = rand.NewChaCha8([32]byte{}).Read(in)
	n, err := h.IOControl(ctx, loopback.IOCTL_ECHO, in, out)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(in, out[:n]))
	_, err = h.IOControl(ctx, loopback.IOCTL_ECHO, make([]byte, longest+1), nil)
	assert.ErrorIs(t, err, channels.ErrTooLong)
	role.Close()
}

// reconnect: the session notices that its client has gone, and the next
// one is served like the first.
func reconnect(t *testing.T) {
	ctx := within(t)
	client := func() string {
		c, err := insession.Client(os.Getenv, xrdp.Server{})
		require.NoError(t, err)
		return c
	}
	last := ""
	for _, end := range []func() error{
		func() error { return os.Remove(clientFile) },
		func() error { return os.WriteFile(clientFile, []byte(takeOver), 0o666) },
	} {
		s := join(t, ctx)
		require.NotEmpty(t, client())
		require.NotEqual(t, last, client(), "it is another client")
		last = client()
		_, d := start(t, ctx, s)
		h, err := d.Open(ctx, server.OpenOptions{})
		require.NoError(t, err)
		require.Equal(t, last, client(), "it is the same client")
		require.NoError(t, end())
		select {
		case <-s.Done():
			t.Log(s.Err())
		case <-ctx.Done():
			t.Fatal("nobody noticed that the client has gone")
		}
		_, err = h.ReadAt(ctx, make([]byte, 1), 0)
		assert.ErrorIs(t, err, channels.ErrClosed)
		s.Close()
		require.NoError(t, os.WriteFile(clientFile, nil, 0o666))
	}
	_, d := start(t, ctx, join(t, ctx))
	h, err := d.Open(ctx, server.OpenOptions{})
	require.NoError(t, err)
	_, err = h.ReadAt(ctx, make([]byte, 64), 0)
	require.NoError(t, err)
}
