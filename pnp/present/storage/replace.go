// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"freerdp-pnpdr/pnp/present/ptp"
)

// send makes the device's file. It takes the place of old, which is not 0 if there is one:
// where the device can rename files, the old one goes when the new one is there.
func (w *writer) send(ctx context.Context, s *ptp.Session, old uint32, sent *ptp.Object) error {
	d := w.file.parent
	put := func(name string) (uint32, error) {
		return s.Send(ctx, d.storage, d.handle, name, sent.Size, io.NewSectionReader(w.tmp, 0, int64(sent.Size)))
	}
	if old != w.deleted {
		renames, err := s.CanRename(ctx)
		if err != nil {
			return err
		}
		var aside uint32
		if renames {
			aside, err = put(fmt.Sprintf("pnpdr-%016x.tmp", rand.Uint64()))
		}
		if err == nil {
			err = s.Delete(ctx, old)
			if errors.Is(err, ptp.InvalidObjectHandle) { // somebody else has deleted it
				err = nil
			}
		}
		if err != nil {
			if aside != 0 {
				_ = s.Delete(context.WithoutCancel(ctx), aside) // if there is something of it
			}
			return err
		}
		w.deleted = old
		if renames {
			// Now this is the only one, even if the program ends.
			ctx = context.WithoutCancel(ctx)
			err = s.Rename(ctx, aside, sent.Name)
			if err == nil {
				sent.Handle = aside
				return nil
			}
			var refused ptp.Response
			if !errors.As(err, &refused) {
				return err
			}
			_ = s.Delete(ctx, aside) // the device has promised too much
		}
	}
	var err error
	sent.Handle, err = put(sent.Name)
	return err
}
