// SPDX-License-Identifier: Apache-2.0

// Package pipe presents a redirected pipe as a Unix socket in the device's folder. Each
// connection is a handle of its own; see channels/server/pipebridge.
package pipe

import (
	"context"
	"path/filepath"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/ncalrpc"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp/present"
)

// socketName is the name of the socket in the device's folder.
const socketName = "socket"

// bridged is a pipe that is presented.
type bridged struct{ close func() }

// Close implements present.Presentation. Programs are disconnected.
func (b bridged) Close() { b.close() }

// Present makes the socket of d. It does not ask the client.
func Present(_ context.Context, d *present.Device) (present.Presentation, error) {
	a, err := pipebridge.ParseAddress("unix:" + filepath.Join(d.Dir, socketName))
	if err != nil {
		return nil, err
	}
	b, err := pipebridge.Listen(a, d.Log)
	if err != nil {
		return nil, err
	}
	b.Add(opener(d), d.Gone())
	return bridged{b.Close}, nil
}

// PresentService makes the sockets of the Server Service, as Samba's programs expect
// them: the device's folder can be their "ncalrpc dir". It does not ask the client.
func PresentService(_ context.Context, d *present.Device) (present.Presentation, error) {
	f, err := ncalrpc.Listen(d.Dir, d.Log)
	if err != nil {
		return nil, err
	}
	f.Add(opener(d), d.Gone())
	return bridged{f.Close}, nil
}

func opener(d *present.Device) pipebridge.Opener {
	return func(ctx context.Context) (pipebridge.Handle, error) {
		h, err := d.Open(ctx, server.OpenOptions{})
		if err != nil {
			return nil, err // not an interface that holds a nil pointer
		}
		return h, nil
	}
}
