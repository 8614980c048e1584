// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"context"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
)

type deadEnd struct{ channels.ServerConn }

func (deadEnd) Send([]byte) error { return nil }

// TestBusyClientIsThere: an answer may wait behind much else that comes from the
// client, for longer than ProbeTimeout.
func TestBusyClientIsThere(t *testing.T) {
	s := &session{cfg: Server{ProbeTimeout: 500 * time.Millisecond, OpenTimeout: time.Second}, ctx: context.Background()}
	p := &probe{s: s, conn: deadEnd{}, replied: make(chan struct{}, 1), closed: make(chan struct{})}
	result := make(chan error, 1)
	go func() { result <- p.ask(context.Background()) }()
	for begin := time.Now(); time.Since(begin) < 4*s.cfg.ProbeTimeout; time.Sleep(time.Millisecond) {
		s.heard.Add(1)
	}
	p.replied <- struct{}{}
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := p.ask(context.Background()); err != errSilent {
		t.Error("without an answer:", err)
	}
}
