// SPDX-License-Identifier: Apache-2.0

package ptp_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"freerdp-pnpdr/pnp/present/ptp"
)

// List the objects at the top of each memory of a camera, and fetch the files. The handle
// of a redirected camera is a Pipe.
func ExampleSession() {
	list := func(ctx context.Context, camera ptp.Pipe) error {
		s, err := ptp.Open(ctx, camera, 30*time.Second)
		if err != nil {
			return err
		}
		defer s.Close(ctx)
		storages, err := s.Storages(ctx)
		if err != nil {
			return err
		}
		for _, st := range storages {
			handles, err := s.Children(ctx, st.ID, 0)
			if err != nil {
				return err
			}
			for _, h := range handles {
				o, err := s.Object(ctx, h)
				if err != nil {
					return err
				}
				fmt.Println(o.Name, o.Size)
				if !o.Folder {
					if err := s.Get(ctx, h, o.Size, io.Discard); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	_ = list
}
