// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/present/folder"
)

// session names the session: by its display, without the screen.
func (c *cli) session() string {
	display, _, _ := strings.Cut(c.env("DISPLAY"), ".")
	return display
}

// dirs returns the folder to use, and the one to use instead if the agent of another
// session of the user's has that; "" for none.
func (c *cli) dirs() (dir, other string, err error) {
	if c.opt.dir != "" {
		return c.opt.dir, "", nil
	}
	runtime := c.env("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(runtime) {
		return "", "", cmdline.Failure(errors.New("XDG_RUNTIME_DIR is not set in this session: name a folder with --dir"))
	}
	dir = filepath.Join(runtime, "pnpdr")
	if s := c.session(); s != "" {
		other = dir + "-" + folder.Clean(s)
	}
	return dir, other, nil
}

// open makes the folder. With --autostart it is patient: when a user logs out and in again,
// the agent of the old session may still be about to end.
func (c *cli) open(ctx context.Context, cfg folder.Config) (*folder.Folder, error) {
	dir, other, err := c.dirs()
	if err != nil {
		return nil, err
	}
	patience := c.pace.patience
	if !c.opt.autostart {
		patience = 0
	}
	for end := time.Now().Add(patience); ; {
		f, err := folder.New(dir, cfg)
		if !errors.Is(err, folder.ErrInUse) {
			return f, err
		}
		if !time.Now().Before(end) {
			if other != "" && c.isOthers(dir) {
				return folder.New(other, cfg)
			}
			return nil, err
		}
		select {
		case <-time.After(c.pace.again):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// isOthers reports whether the agent of another session has the folder.
func (c *cli) isOthers(dir string) bool {
	r, err := folder.Query(dir)
	return err == nil && r.Session != c.session()
}

// query asks the agent of this session, or else the one that has the usual folder.
func (c *cli) query() (folder.Report, error) {
	dir, other, err := c.dirs()
	if err != nil {
		return folder.Report{}, err
	}
	if other != "" {
		if r, err := folder.Query(other); err == nil {
			return r, nil
		}
	}
	return folder.Query(dir)
}
