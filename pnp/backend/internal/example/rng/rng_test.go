// SPDX-License-Identifier: Apache-2.0

package rng

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

func TestSuite(t *testing.T) {
	device := func(t *testing.T, readOnly bool) pnp.Device {
		d, err := New(backend.Source{Path: "/dev/urandom", ReadOnly: readOnly})
		require.NoError(t, err)
		return d
	}
	acceptance.Run(t, acceptance.Fixture{
		Stream: true,
		New: func(t *testing.T) acceptance.Instance {
			return acceptance.Instance{
				Device: device(t, false), ReadOnly: device(t, true),
				Controls: []acceptance.Control{{
					Template: acceptance.Template{Name: "count", Op: pnp.OpIOControl, Code: IOCTL_RNG_GET_COUNT, Len: 8},
					Result:   pnp.S_OK, Out: make([]byte, 8),
				}},
			}
		},
	})
}
