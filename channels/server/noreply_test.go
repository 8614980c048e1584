// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"testing"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// unanswered starts a read of p, ends its context, and returns when ReadAt has
// given up. The client has got the request and its IoCancel.
func unanswered(t *testing.T, h *server.Handle, ch *servertest.Channel, p []byte) wire.RequestID {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	r := servertest.Go(func() (int, error) { return h.ReadAt(ctx, p, 0) })
	m := servertest.NextAs[wire.ReadRequest](ch)
	cancel()
	got := servertest.Wait(t, "ReadAt", r)
	wantError(t, got.Err, context.Canceled)
	wantError(t, got.Err, server.ErrNoReply)
	servertest.NextAs[wire.IoCancelRequest](ch)
	return m.RequestID
}

// TestClientDoesNotReply: a call whose context has ended does not wait for ever,
// and a reply that comes later is not written to its memory.
func TestClientDoesNotReply(t *testing.T) {
	_, h, ch := servertest.OpenedHandle(t, server.Config{
		CancelWait: time.Nanosecond, Limits: server.Limits{Requests: 1},
	})
	for _, late := range []wire.DataReply{
		{Data: []byte("late")},
		{Result: pnp.ERROR_OPERATION_ABORTED},
	} {
		p := make([]byte, 4)
		late.RequestID = unanswered(t, h, ch, p)

		// The request counts until its reply comes.
		_, err := h.ReadAt(bg, p, 0)
		wantError(t, err, pnp.ERROR_NO_SYSTEM_RESOURCES)
		inject(t, ch, late.Append(nil))
		if string(p) != "\x00\x00\x00\x00" {
			t.Errorf("%q was written after the call had returned", p)
		}
		r := servertest.Go(func() (int, error) { return h.ReadAt(bg, p, 0) })
		m := servertest.NextAs[wire.ReadRequest](ch)
		inject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("next")}.Append(nil))
		if got := servertest.Wait(t, "the next ReadAt", r); got.Err != nil || string(p) != "next" {
			t.Errorf("%+v, %q", got, p)
		}
	}
}

// TestLateReplyIsChecked: whoever waits for it, a reply must not exceed what was
// asked for.
func TestLateReplyIsChecked(t *testing.T) {
	_, h, ch := servertest.OpenedHandle(t, server.Config{CancelWait: time.Nanosecond})
	id := unanswered(t, h, ch, make([]byte, 4))
	if ch.Inject(wire.DataReply{RequestID: id, Data: make([]byte, 5)}.Append(nil)) == nil {
		t.Error("more than was asked for is accepted")
	}
	servertest.Wait(t, "the handle", h.Done())
}

// TestCloseEndsUnanswered: what nobody waits for ends with the handle.
func TestCloseEndsUnanswered(t *testing.T) {
	_, h, ch := servertest.OpenedHandle(t, server.Config{CancelWait: time.Nanosecond})
	unanswered(t, h, ch, make([]byte, 4))
	h.Close()
	ch.WaitEnd()
}
