// SPDX-License-Identifier: Apache-2.0

// Package storage makes the memories of a redirected camera, media player or phone a
// folder of ordinary files, "storage", by PTP.
//
// The device is open while the files are in use and a while longer. Files are read in
// parts where the device can do that; what is written is sent when the file is closed.
package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/fusefs"
)

// folderName is the name of the folder in the device's.
const folderName = "storage"

// known is for how long the kernel may take for granted what it was told.
const known = time.Second

// presentation is the mounted folder.
type presentation struct {
	device *device
	path   string
	fs     *fusefs.Mounted
}

// Present implements present.Kind.Present. The device is not asked anything until a
// program looks into the folder.
func Present(_ context.Context, remote *present.Device) (present.Presentation, error) {
	p := &presentation{device: newDevice(remote), path: filepath.Join(remote.Dir, folderName)}
	err := os.Mkdir(p.path, 0o700)
	if err == nil {
		timeout := known
		raw := fs.NewNodeFS(&root{device: p.device, asking: newTurn()}, &fs.Options{
			EntryTimeout: &timeout, AttrTimeout: &timeout, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
		})
		if p.fs, err = fusefs.MountRaw(p.path, raw, remote.Log); err != nil {
			os.Remove(p.path)
		}
	}
	if err != nil {
		p.device.end()
		return nil, fmt.Errorf("making the folder of the device's files: %w", err)
	}
	return p, nil
}

// Close implements present.Presentation.
func (p *presentation) Close() {
	p.device.end()
	if err := p.fs.Close(); err != nil {
		p.device.remote.Log.Warn("the device's files cannot be unmounted", "err", err)
	}
	_ = os.Remove(p.path) // the folder goes with the device's
}
