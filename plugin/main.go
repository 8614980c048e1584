// SPDX-License-Identifier: Apache-2.0

// The plugin libpnpdr-client.so: FreeRDP loads it for /dvc:pnpdr and redirects
// the devices that its options name. This package joins the client role, what is
// redirected to it, and FreeRDP; it decides nothing.
//
// scripts/build and CMake build it with one exported symbol.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"freerdp-pnpdr/channels/client"
	cshim "freerdp-pnpdr/cshim/client"
	"freerdp-pnpdr/cshim/libusb"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

// version is what the plugin says of itself.
const version = "0.1.0"

// endWait is how long FreeRDP's main thread waits at most for devices that do not
// let go.
const endWait = time.Second

func init() {
	cshim.SetEntry(start)
	image.Use(libusb.USB{})
}

// main is not called: the library has no program.
func main() {}

// session is one connection.
type session struct {
	*client.Session
	redirection *redirect.Session
	log         *slog.Logger
}

// start begins a session; args are the plugin's name and its options.
func start(args []string, host *cshim.Host) cshim.Session {
	log := host.Logger()
	options := redirect.ParseOptions(args[min(1, len(args)):], kinds.All())
	devices := client.NewSession(client.Config{Limits: options.Limits, Log: log})
	major, minor, revision := host.Version()
	redirection := redirect.Start(options, redirect.Config{
		Name:    fmt.Sprintf("freerdp-pnpdr %s on FreeRDP %d (%d.%d.%d)", version, major, major, minor, revision),
		Log:     log,
		Devices: devices,
		Host:    hostOf(host),
		Files:   rules.DefaultFiles(&options.Rules),
	})
	return &session{devices, redirection, log}
}

// hostOf converts what FreeRDP says of itself and of the session.
func hostOf(host *cshim.Host) backend.Host {
	s := host.Settings()
	h := backend.Host{User: s.User, Domain: s.Domain, Client: s.Client, Server: s.Server, Account: host.Account}
	h.Major, h.Minor, _ = host.Version()
	for _, d := range s.Drives {
		h.Drives = append(h.Drives, backend.Share(d))
	}
	for _, p := range s.Printers {
		h.Printers = append(h.Printers, backend.Printer(p))
	}
	return h
}

// Ended implements cshim.Session. First nothing is redirected any more, then the
// client role ends the devices; what hangs is not waited for without end.
func (s *session) Ended() {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	stopped := s.redirection.End()
	err := s.Close(ctx)
	select {
	case <-stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.log.Warn("a device or its path does not answer; it is left behind", "err", err)
	}
	s.log.Debug("session ended", "left", fmt.Sprintf("%+v", s.Counts()), "objects", cshim.LiveObjects())
}
