// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/cshim/libusb"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/provide"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

// releaseWait is how long devices may take to be released in the end.
const releaseWait = 5 * time.Second

func (a *app) provideCommand() *cobra.Command {
	var socket string
	c := &cobra.Command{
		Use:   "provide --socket PATH OPTION...",
		Short: "Serve a device to a session from this process",
		Long: `Serve a device to a session from a process of its own, which may have other rights
than the client: /dvc:pnpdr,provider:PATH redirects it. It ends at Ctrl-C.

OPTIONs are those of /dvc:pnpdr, and the rules hold as they do there. If there are several
devices, the session gets the first; the next when that has gone.`,
		Example: `  pnpdr provide --socket "$XDG_RUNTIME_DIR/meter" serial:/dev/ttyS0
  xfreerdp /v:server /dvc:pnpdr,provider:$XDG_RUNTIME_DIR/meter`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("which device? Name it by an option, such as serial:/dev/ttyS0")
			case socket == "":
				return errors.New("at which socket? Name it, as in --socket /run/user/1000/meter")
			}
			return nil
		},
		ValidArgsFunction: a.completeOptions,
		RunE:              func(c *cobra.Command, args []string) error { return a.provide(c.Context(), socket, args) },
	}
	c.Flags().StringVar(&socket, "socket", "", "listen at `PATH`")
	return c
}

// provide serves what the options redirect until a signal comes.
func (a *app) provide(ctx context.Context, socket string, words []string) error {
	if a.config != "" {
		words = append([]string{"config:" + escape.Replace(a.config)}, words...)
	}
	split, dropped := splitOptions(words)
	for _, word := range dropped {
		return noEffect(word)
	}
	options := redirect.ParseOptions(split, a.kinds)
	for _, p := range options.Problems {
		return errors.New(p.String())
	}
	files := rules.DefaultFiles(&options.Rules)
	files.Admin = a.admin
	log := slog.New(slog.NewTextHandler(a.errs, nil))
	image.Use(libusb.USB{})
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	session := client.NewSession(client.Config{Limits: options.Limits, Log: log})
	redirection := redirect.Start(options, redirect.Config{
		Name: "pnpdr", Log: log, Devices: session, Files: files, Discovery: a.discovery(),
	})
	err := provide.Serve(ctx, socket, session, log)
	stop() // the next signal ends the program
	wait, cancel := context.WithTimeout(context.Background(), releaseWait)
	defer cancel()
	select {
	case <-redirection.End():
	case <-wait.Done():
	}
	if err = errors.Join(err, session.Close(wait)); err != nil {
		return cmdline.Failure(err)
	}
	return nil
}
