// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"io"
	"log/slog"
)

// Config says where to look. The zero value is this machine.
type Config struct {
	// SysRoot, DevRoot and UdevRoot are "/sys", "/dev" and "/run/udev" if
	// they are empty.
	SysRoot, DevRoot, UdevRoot string
	// Log receives warnings and errors. If it is nil they are dropped.
	Log *slog.Logger
	// Listen subscribes to messages about devices. If it is nil, that is the
	// function Listen.
	Listen func() (Source, error)
}

// Subscribe subscribes to messages about devices.
func (c Config) Subscribe() (Source, error) { return c.withDefaults().Listen() }

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		at    *string
		value string
	}{{&c.SysRoot, "/sys"}, {&c.DevRoot, "/dev"}, {&c.UdevRoot, "/run/udev"}} {
		if *d.at == "" {
			*d.at = d.value
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Listen == nil {
		c.Listen = Listen
	}
	return c
}
