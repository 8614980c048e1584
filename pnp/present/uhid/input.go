// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// inputs are the input devices that the kernel makes of a device.
type inputs struct {
	root   string // of sysfs
	phys   string // finds the device
	wanted bool   // they are to be used
	dir    string // the device's folder in sysfs, once it is found
}

const (
	// settleLimit is how long the kernel may take to make its devices.
	settleLimit = 10 * time.Second
	// inhibitLimit is how long udev may take.
	inhibitLimit = 5 * time.Second
	interval     = 5 * time.Millisecond
)

// settle waits until the kernel has made its devices, and returns the hidraw node. It
// inhibits the input devices unless they are wanted.
func (in *inputs) settle(ctx context.Context) (node string, err error) {
	err = await(ctx, settleLimit, func() (bool, error) {
		tree, err := sysfs.Open(in.root)
		if err != nil || !in.find(tree) {
			return false, err
		}
		// Most drivers make their input devices before.
		for _, name := range tree.List(in.dir, "hidraw") {
			node = "/dev/" + name
		}
		return node != "", nil
	})
	switch {
	case errors.Is(err, errLate):
		return "", errors.New("no driver of the kernel's takes the HID device: the kernel's log says why")
	case err != nil:
		return "", err
	}
	return node, in.inhibit(ctx)
}

// find finds the device's folder. It returns false if there is none yet.
func (in *inputs) find(tree *sysfs.Tree) bool {
	const parent = "devices/virtual/misc/uhid"
	for _, name := range tree.List(parent) {
		if dir := path.Join(parent, name); tree.Uevent(dir)["HID_PHYS"] == in.phys {
			in.dir = dir
			return true
		}
	}
	return false
}

// concerns reports whether a message is about an input device that the kernel has made.
func (in *inputs) concerns(e discover.Uevent) bool {
	return e.Action == "add" && e.Subsystem == "input" && strings.HasPrefix(e.Path, in.dir+"/")
}

// inhibit inhibits the input devices that there are.
func (in *inputs) inhibit(ctx context.Context) error {
	if in.wanted {
		return nil
	}
	tree, err := sysfs.Open(in.root)
	if err != nil {
		return err
	}
	for _, dir := range below(tree, in.dir, 3) {
		file := filepath.Join(in.root, dir, "inhibited")
		refused := write(file, "1")
		// A udev rule may do it in place of us.
		err := await(ctx, inhibitLimit, func() (bool, error) {
			text, err := os.ReadFile(file)
			return strings.TrimSpace(string(text)) == "1", err
		})
		if err != nil && tree.List(dir) != nil { // it is still there
			return fmt.Errorf("the kernel makes an input device of it, which must not reach the desktop and cannot be inhibited: %w"+
				" (71-pnpdr-uhid.rules makes udev do it, and so can root since Linux 5.11; or allow input)", errors.Join(refused, err))
		}
	}
	return nil
}

// below returns the input devices of a HID device, and of those that its driver has made
// below it: some have one for each device behind a receiver.
func below(tree *sysfs.Tree, dir string, depth int) (list []string) {
	for _, name := range tree.List(dir) {
		switch at := path.Join(dir, name); {
		case name == "input":
			for _, name := range tree.List(at) {
				list = append(list, path.Join(at, name))
			}
		case strings.Count(name, ":") == 2 && depth > 0: // 0003:046D:C52B.0001
			list = append(list, below(tree, at, depth-1)...)
		}
	}
	return list
}

func write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// errLate is the error of await if nothing happens.
var errLate = errors.New("it takes too long")

// await calls done until it returns true or fails.
func await(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return errLate
		case <-time.After(interval):
		}
	}
}
