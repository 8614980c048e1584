// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/internal/port"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// TestDrainDuringAWrite: that nothing was left to send while a write was on its way says
// nothing about it.
func TestDrainDuringAWrite(t *testing.T) {
	writes := make(chan *pnp.Request, 1)
	var unsent atomic.Uint32
	d := porttest.NewForged("port", func(r *pnp.Request) {
		switch {
		case r.Op == pnp.OpWrite:
			writes <- r
		case r.Op == pnp.OpIOControl && r.Code == serial.IOCTL_SERIAL_GET_COMMSTATUS:
			binary.LittleEndian.PutUint32(r.Out[12:], unsent.Load())
			if unsent.Load() > 0 {
				unsent.Add(^uint32(0))
			}
			r.Complete(pnp.S_OK, len(r.Out))
		default:
			porttest.Obey(r)
		}
	})
	ctx := context.Background()
	p, _, err := port.NewOpener(presenttest.NewPair(t, server.Config{}, d).Device("port", &present.Kind{})).Open(ctx, port.Settings{Baud: 9600})
	require.NoError(t, err)
	defer p.Close()
	written := make(chan error, 1)
	go func() {
		_, err := p.Write(ctx, []byte("abc"))
		written <- err
	}()
	r := <-writes
	require.NoError(t, p.Drain(ctx, 0))
	unsent.Store(3)
	r.Complete(pnp.S_OK, 3)
	require.NoError(t, <-written)
	require.NoError(t, p.Drain(ctx, 0))
	require.Zero(t, unsent.Load())
}
