// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"errors"
	"fmt"
	"os"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/rules"
)

// attend lets the devices of a kind with Attend come and go by themselves, until n.detach
// is called, which waits for that.
func (s *Session) attend(n *node, src backend.Source, decision *rules.Decision) {
	log := s.log.With("option", n.Option)
	src.ReadOnly, src.Log = decision.ReadOnly, s.log
	src.Describe = n.Describe
	src.Owner = owner(decision)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	n.detach = func() { cancel(); <-ended }
	s.set(n, nil, errors.New("nothing answers at its socket; it will be redirected when something does"))
	come := func(d pnp.Device) (gone func(), err error) {
		ids, err := s.devices.add(n.Kind, []pnp.Device{d}, decision.Limits)
		s.set(n, ids, err)
		if err != nil {
			return nil, err
		}
		log.Info("device is redirected", "device", d.Description().Name)
		return func() {
			log.Info("device has gone", "device", d.Description().Name)
			s.devices.remove(ids...)
			s.set(n, nil, errors.New("it has gone"))
		}, nil
	}
	go func() {
		defer close(ended)
		defer pnp.Guard(s.log, "following "+n.Option, nil)
		if err := n.Kind.Attend(ctx, src, come); err != nil {
			s.set(n, nil, err)
			log.Warn("device is not redirected", "err", err)
		}
	}()
}

// detach ends what attend has begun. Nothing follows the paths any more.
func (s *Session) detach() {
	for _, n := range s.named {
		if n.detach != nil {
			n.detach()
		}
	}
}

// owner checks whose process is behind a socket: anybody can make one where everybody may
// write.
func owner(decision *rules.Decision) func(uid uint32) error {
	return func(uid uint32) error {
		if uid == 0 || uid == uint32(os.Geteuid()) || decision.Allowed {
			return nil
		}
		return fmt.Errorf("its process belongs to user %d, not to you or root; a rule that allows the socket's node lets it: %w",
			uid, pnp.ERROR_ACCESS_DENIED)
	}
}
