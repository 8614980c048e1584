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

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// inputs are the input devices that the kernel makes of a device.
type inputs struct {
	root   string // of sysfs
	phys   string // finds the device
	wanted bool   // they are to be used
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
func (in inputs) settle(ctx context.Context) (node string, err error) {
	err = await(ctx, settleLimit, func() (bool, error) {
		tree, dir, err := in.find()
		if err != nil || dir == "" {
			return false, err
		}
		// A driver's input devices come before its hidraw node.
		for _, name := range tree.List(dir, "hidraw") {
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

// find returns the device's folder, "" if there is none yet.
func (in inputs) find() (*sysfs.Tree, string, error) {
	tree, err := sysfs.Open(in.root)
	if err != nil {
		return nil, "", err
	}
	const parent = "devices/virtual/misc/uhid"
	for _, name := range tree.List(parent) {
		if dir := path.Join(parent, name); tree.Uevent(dir)["HID_PHYS"] == in.phys {
			return tree, dir, nil
		}
	}
	return tree, "", nil
}

// inhibit inhibits the input devices that there are.
func (in inputs) inhibit(ctx context.Context) error {
	if in.wanted {
		return nil
	}
	tree, dir, err := in.find()
	if err != nil || dir == "" {
		return err
	}
	for _, name := range tree.List(dir, "input") {
		file := filepath.Join(in.root, dir, "input", name, "inhibited")
		refused := write(file, "1")
		// A udev rule may do it in place of us.
		err := await(ctx, inhibitLimit, func() (bool, error) {
			text, err := os.ReadFile(file)
			return strings.TrimSpace(string(text)) == "1", err
		})
		if err != nil {
			return fmt.Errorf("the kernel makes an input device of it, which must not reach the desktop and cannot be inhibited: %w"+
				" (72-pnpdr-agent.rules makes udev do it, and so can root since Linux 5.11; or allow input)", errors.Join(refused, err))
		}
	}
	return nil
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
