// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"

	"freerdp-pnpdr/pnp"
)

// CheckOpen says what is wrong with an open before the path is looked at, which
// may wait: so NoBlock is never granted.
func CheckOpen(path string, r pnp.OpenRequest) error {
	switch {
	case r.NoBlock:
		return pnp.ErrWouldBlock
	case r.Disposition < pnp.CREATE_NEW || r.Disposition > pnp.TRUNCATE_EXISTING:
		return fmt.Errorf("open %s: creation disposition %d: %w", path, r.Disposition, pnp.ERROR_INVALID_PARAMETER)
	}
	return nil
}
