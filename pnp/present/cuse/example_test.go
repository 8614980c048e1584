// SPDX-License-Identifier: Apache-2.0

package cuse_test

import (
	"context"
	"errors"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/cuse"
	"freerdp-pnpdr/pnp/present/tty"
)

// A row of a present.Table: a terminal with modem lines or, where the user may not have
// that, a pseudo terminal. tty.Present does the same.
func ExamplePresent() {
	kind := present.Kind{
		Name: "serial",
		Present: func(ctx context.Context, d *present.Device) (present.Presentation, error) {
			p, err := cuse.Present(ctx, d)
			if errors.Is(err, cuse.ErrUnavailable) {
				return tty.PresentPseudo(ctx, d)
			}
			return p, err
		},
	}
	_ = kind
}
