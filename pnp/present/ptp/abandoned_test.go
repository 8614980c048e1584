// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// dripping is a device that announces an answer, and sends a byte of it at a time.
type dripping struct {
	reads int
	begun chan struct{}
}

func (d *dripping) MaxWrite() int { return chunk }

func (d *dripping) Start(r server.Request) (func(), error) {
	if r.Op == pnp.OpWrite {
		go r.Done(len(r.In), nil)
		return func() {}, nil
	}
	n := 1
	if d.reads++; d.reads == 1 {
		close(d.begun)
		n = copy(r.Out, header(MaxDataset, kindData, opGetStorageIDs, 0))
	}
	time.AfterFunc(time.Millisecond, func() { r.Done(n, nil) })
	return func() {}, nil
}

// TestAbandoned: a device that answers slowly does not keep a program that has been killed.
func TestAbandoned(t *testing.T) {
	d := &dripping{begun: make(chan struct{})}
	s := &Session{pipe: d, answer: time.Second, turn: make(chan struct{}, 1)}
	for range depth {
		s.free = append(s.free, make([]byte, chunk))
	}
	s.turn <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Storages(ctx)
		failed <- err
	}()
	<-d.begun
	cancel()
	select {
	case err := <-failed:
		require.Error(t, err)
	case <-time.After(time.Minute):
		t.Fatal("it goes on and on")
	}
}
