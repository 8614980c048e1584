// SPDX-License-Identifier: Apache-2.0

// Package srvsvc redirects the pipe srvsvc of this machine: whoever is at the server's end
// can see, with the tools that administrators have, what the session redirects and who has
// it open, and end a handle. Package srvs speaks the protocol, [MS-SRVS]; this one tells it
// of the session.
package srvsvc

import (
	"io"
	"log/slog"
	"os"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/srvs"
)

// ReadOnly is the value of the option that keeps handles from being ended.
const ReadOnly = "read-only"

// comment describes the machine to those who list it.
const comment = "Devices redirected by freerdp-pnpdr"

// New makes the device.
func New(src backend.Source) (*pipe.Device, error) {
	log := src.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := newSource(src.Session)
	server := srvs.New(srvs.Config{
		Host: s.client(), Domain: s.session.Host.Domain, Comment: comment,
		ReadOnly: src.ReadOnly || src.Path == ReadOnly, Log: log,
	}, s)
	return pipe.Serve(src.Description, log, func(r pnp.OpenRequest) pipe.Service { return server.Connect(r.Handle) }), nil
}

// client is the name of this machine.
func (s *source) client() string {
	if name := s.session.Host.Client; name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "client"
	}
	return name
}
