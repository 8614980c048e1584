// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"

	"freerdp-pnpdr/pnp"
)

// CheckOpen checks an open without looking at the path. It never grants NoBlock,
// since looking at the path may wait.
func CheckOpen(path string, r pnp.OpenRequest) error {
	switch {
	case r.NoBlock:
		return pnp.ErrWouldBlock
	case r.Disposition < pnp.CREATE_NEW || r.Disposition > pnp.TRUNCATE_EXISTING:
		return fmt.Errorf("open %s: creation disposition %d: %w", path, r.Disposition, pnp.ERROR_INVALID_PARAMETER)
	}
	return nil
}
