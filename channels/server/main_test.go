// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

var bg = context.Background()

var eventGUID = pnp.MustGUID("{2b4a9c46-658d-4af2-a91d-1e691861706c}")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inject(t *testing.T, ch *servertest.Channel, msg []byte) {
	t.Helper()
	if err := ch.Inject(msg); err != nil {
		t.Fatalf("%s: %x: %v", ch.Name, msg, err)
	}
}

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, not %v", err, target)
	}
}

func event(data string) []byte {
	return wire.CustomEvent{CustomEventGUID: eventGUID, Data: []byte(data)}.Append(nil)
}
