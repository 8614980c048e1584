// SPDX-License-Identifier: Apache-2.0

// Package presenttest connects presenters with devices of pnp/backend in one process,
// for tests.
package presenttest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// Patience is how long a test waits before it says that something hangs.
const Patience = time.Minute

// Pair is a client and a server, whose user has logged on.
type Pair struct {
	Client *client.Session
	Link   *memory.Link
	Server *server.Session
	t      testing.TB
}

// NewPair connects a client that has these devices, and ends with the test.
func NewPair(t testing.TB, cfg server.Config, devices ...pnp.Device) *Pair {
	t.Helper()
	p := &Pair{Client: client.NewSession(client.Config{}), t: t}
	for _, d := range devices {
		p.Add(d)
	}
	p.Link = memory.NewLink(p.Client)
	p.Server = server.New(p.Link, cfg)
	t.Cleanup(p.Close)
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := p.Server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Server.LoggedOn(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Add plugs d in at the client, and returns its id.
func (p *Pair) Add(d pnp.Device) uint32 {
	p.t.Helper()
	id, err := p.Client.Add(d)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// Close ends both. It is called at the end of the test, and may be called before.
func (p *Pair) Close() {
	p.Server.Close()
	p.Link.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := p.Client.Close(ctx); err != nil {
		p.t.Error(err)
	}
}

// Device waits for the device with this name at the server, and presents it as kind
// in a folder of the test's.
func (p *Pair) Device(name string, kind *present.Kind) *present.Device {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	d, err := p.Server.WaitDevice(ctx, func(d *server.Device) bool { return d.Description().Name == name })
	if err != nil {
		p.t.Fatalf("%q: %v", name, err)
	}
	return present.NewDevice(d, kind, name, p.t.TempDir(), Log(p.t), present.Options{})
}

// Log returns a logger whose lines are shown if the test fails.
func Log(t testing.TB) *slog.Logger {
	w := &lines{t: t}
	t.Cleanup(w.end)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
