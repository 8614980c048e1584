// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// interrupting is a device that interrupts whoever asks how long it is, and answers.
type interrupting struct {
	pnp.Device
	asked func()
}

func (d *interrupting) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.Device.Open(r)
	return interruptingHandle{h, d}, err
}

type interruptingHandle struct {
	pnp.Handle
	d *interrupting
}

func (h interruptingHandle) Submit(r *pnp.Request) {
	if r.Op == pnp.OpIOControl && r.Code == pnp.IOCTL_DISK_GET_LENGTH_INFO {
		h.d.asked()
	}
	h.Handle.Submit(r)
}

// TestInterruptedWhenAnswered: a program is interrupted when the client answers. Then it has
// either the file or an error, but never a file whose handle is being closed.
func TestInterruptedWhenAnswered(t *testing.T) {
	d := &interrupting{Device: fileDevice(t, newFile(t, pattern(1000)), false)}
	f := mountFS(t)
	add(t, f, presenttest.NewPair(t, server.Config{}, d), "disk", randomKind)
	r := f.root.children["disk"].(*dir).children["data"].(*file).content.(*random)
	for range 300 {
		ctx, cancel := context.WithCancel(bg)
		d.asked = cancel
		o, _, err := r.open(ctx, 0)
		if err == nil {
			_, err := o.(*randomFile).ReadAt(bg, make([]byte, 1), 0)
			require.NoError(t, err)
			o.release()
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		r.forgetSize(bg)
		cancel()
	}
}
