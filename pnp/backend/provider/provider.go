// SPDX-License-Identifier: Apache-2.0

// Package provider redirects a device that another process of this machine implements,
// in any language: a provider. It listens at a Unix socket, and is a client of
// [MS-RDPEPNP] there, whose channels are connections (package unixsock). PNPDR
// announces the device and its end, and each handle is a FileRedirectorChannel.
//
// A provider that hangs, dies, floods or lies harms its own device only: the server role
// checks what it sends, and what it is sent counts within the limits of the session until
// it replies.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/unixsock"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

const (
	// helloTimeout is how long a provider may take to say which version it speaks.
	helloTimeout = 10 * time.Second
	// firstPause and longestPause are the times between two attempts to connect.
	firstPause, longestPause = 250 * time.Millisecond, 8 * time.Second
)

// limits bound what a provider can make the session keep.
var limits = server.Limits{Devices: 16, DescriptionBytes: 64 << 10}

// Attend implements backend.Kind.Attend: it connects to the provider at src.Path, again
// and again until ctx is done, and hands each device that one announces to come.
//
// A provider has one device at a time: the next it announces comes when that has gone.
// It fails at once if src lacks the path, Describe or Owner.
func Attend(ctx context.Context, src backend.Source, come func(pnp.Device) (gone func(), err error)) error {
	log, err := src.Logger()
	if err != nil {
		return err
	}
	if src.Describe == nil || src.Owner == nil {
		return fmt.Errorf("following %s: the source needs both Describe and Owner", src.Path)
	}
	said := ""
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		served, err := serve(ctx, &src, log, come)
		if served {
			pause, said = firstPause, ""
		}
		if err != nil && ctx.Err() == nil {
			level := slog.LevelDebug // the same as before
			if err.Error() != said {
				level = slog.LevelWarn
			}
			said = err.Error()
			log.Log(ctx, level, "there is no provider", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// serve follows one provider until it ends, and reports whether there was one.
func serve(ctx context.Context, src *backend.Source, log *slog.Logger, come func(pnp.Device) (func(), error)) (served bool, err error) {
	dialer := unixsock.NewDialer(func(ctx context.Context) (unixsock.Conn, error) { return dial(ctx, src) })
	defer dialer.Close()
	session := server.New(dialer, server.Config{Log: log, Limits: limits})
	defer session.Close()

	hello, end := context.WithTimeout(ctx, helloTimeout)
	defer end()
	if err := session.Start(hello); err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	if err := session.LoggedOn(); err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	for {
		remote, err := session.WaitDevice(ctx, nil)
		if errors.Is(err, channels.ErrClosed) {
			return served, nil
		}
		if err != nil {
			return served, err
		}
		served = true
		d := &Device{remote: remote, description: src.Describe(*remote.Description()), readOnly: src.ReadOnly, log: log, closing: make(map[*handle]struct{})}
		events, cancel := remote.Events()
		raised := make(chan struct{})
		go func() {
			defer close(raised)
			for e := range events {
				d.raise(e.Event)
			}
		}()
		gone, err := come(d)
		if err != nil {
			log.Warn("device is not redirected", "err", err)
			gone = func() {}
		}
		select {
		case <-remote.Gone():
		case <-ctx.Done():
		}
		gone()
		cancel()
		<-raised
		if ctx.Err() != nil {
			return served, nil
		}
	}
}

// dial connects to the provider, if it is one of somebody who is trusted.
func dial(ctx context.Context, src *backend.Source) (unixsock.Conn, error) {
	c, err := src.Dial(ctx, "unix")
	if err != nil {
		return nil, err
	}
	cred, err := backend.Peer(c)
	if err == nil {
		err = src.Owner(cred.Uid)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
