// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// truncate implements content, as far as the protocol can: a file becomes empty when it is
// opened with TRUNCATE_EXISTING, and grows when something is written behind its end. It
// cannot become shorter otherwise (EPERM). For a device whose size cannot change, becoming
// empty does nothing, as for a disk: cp and shells do it to what they write.
func (r *random) truncate(ctx context.Context, size uint64) error {
	ctx, cancel := r.whileThere(ctx)
	defer cancel()
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	s, err := r.use(ctx)
	if err != nil {
		return err
	}
	defer r.leave(s)
	if err := r.mayWrite(ctx, s); err != nil {
		return err
	}
	if err := s.file.Flush(ctx); err != nil {
		return err
	}
	switch now := s.file.Size(); {
	case size == now:
		return nil
	case size > now:
		_, err = s.file.WriteThrough(ctx, []byte{0}, size-1)
	case size == 0:
		err = r.empty(ctx, s)
	default:
		return unix.EPERM
	}
	r.asked = time.Time{}
	if err != nil {
		return err
	}
	return r.askSize(ctx, s)
}

// empty makes the file empty, if it is one that can.
func (r *random) empty(ctx context.Context, s *shared) error {
	h, err := r.folder.open(ctx, server.OpenOptions{Disposition: pnp.TRUNCATE_EXISTING})
	if err == nil {
		h.Close()
	}
	s.file.Forget() // also what was read ahead meanwhile
	return err
}
