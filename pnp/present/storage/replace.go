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
// that goes when the new content is there, under another name. Where the device cannot
// rename files it is then sent a second time: the session may end at any moment.
//
// Two objects with one name are no way: a device may know objects by their paths, and write
// to the old one, or delete the new one in its place.
func (w *writer) send(ctx context.Context, s *ptp.Session, old uint32, sent *ptp.Object) (err error) {
	d := w.file.parent
	put := func(name string) (uint32, error) {
		return s.Send(ctx, d.storage, d.handle, name, sent.Size, io.NewSectionReader(w.tmp, 0, int64(sent.Size)))
	}
	if old == w.deleted {
		sent.Handle, err = put(sent.Name)
		return err
	}
	renames, err := s.CanRename(ctx)
	if err != nil {
		return err
	}
	aside, err := put(fmt.Sprintf("pnpdr-%016x.tmp", rand.Uint64()))
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
		// Even if the program ends: a name takes no time.
		err = s.Rename(context.WithoutCancel(ctx), aside, sent.Name)
		if err == nil {
			sent.Handle = aside
			return nil
		}
		var refused ptp.Response
		if !errors.As(err, &refused) {
			return err
		}
		// The device has promised too much.
	}
	if sent.Handle, err = put(sent.Name); err != nil {
		return err // aside is all that there is
	}
	_ = s.Delete(context.WithoutCancel(ctx), aside)
	return nil
}
