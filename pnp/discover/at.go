// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// At returns the functions of the device behind a node. It goes by the node's
// number, whatever its name is and whoever made it.
//
// If Scan lists the node, the result is what Scan returns. Otherwise it is the
// USB interface that a disk or an input device belongs to, or all interfaces for
// the node of a whole USB device. A block device that is made of others has their
// functions. The node of a device that cannot be plugged in, such as a pseudo
// terminal, has one function with the little that is known. The list is empty if
// there is no device node at that path.
//
// An alias, such as /dev/tty, has the functions of what it leads to beside its own,
// and so has a node that gathers the data of several devices, such as
// /dev/input/mice.
//
// The error is ErrNoDevice if no device has the node's number. After any other error
// the node could belong to any device.
func At(cfg Config, node string) ([]*Device, error) {
	place, err := devnode.Look(node)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("discover: identifying the device at %s: %w", node, err)
	}
	return AtPlace(cfg, place)
}

// ErrNoDevice says that no device has the number of a node.
var ErrNoDevice = errors.New("no device has its number")

// AtPlace is At for a path that was followed before. It does not follow it again.
func AtPlace(cfg Config, place devnode.Place) ([]*Device, error) {
	devices, err := at(cfg.withDefaults(), place)
	if err != nil {
		return nil, fmt.Errorf("discover: identifying the device at %s: %w", place.Real, err)
	}
	return devices, nil
}

// number returns the number of a node. It is zero if the node is not a device's.
func number(id devnode.ID) sysfs.Number {
	switch id.Mode {
	case unix.S_IFCHR:
		return sysfs.CharNumber(id.Rdev)
	case unix.S_IFBLK:
		return sysfs.BlockNumber(id.Rdev)
	}
	return sysfs.Number{}
}

func at(cfg Config, place devnode.Place) ([]*Device, error) {
	n, plain := number(place.ID), place.Mode == unix.S_IFREG
	if n.Kind == "" {
		// In the trees of tests, nodes may be plain files.
		dev, err := filepath.EvalSymlinks(cfg.DevRoot)
		if !plain || err != nil || !strings.HasPrefix(place.Real, dev+"/") {
			return nil, nil
		}
	}
	s, err := newScan(cfg)
	if err != nil {
		return nil, err
	}
	s.all()
	var devices []*Device
	if plain {
		devices, err = s.atFile(place.Real)
	} else {
		devices, err = s.atNumber(place.Real, n)
	}
	if err == nil {
		err = s.fs.Err()
	}
	if err != nil {
		return nil, err
	}
	return devices, nil
}

// listed returns the devices of the scan that are wanted.
func (s *scan) listed(wanted func(*Device) bool) []*Device {
	var devices []*Device
	for _, key := range slices.Sorted(maps.Keys(s.found)) {
		if d := s.found[key].Device; wanted(d) {
			devices = append(devices, d)
		}
	}
	return devices
}

func (s *scan) atFile(real string) ([]*Device, error) {
	same := func(name string) bool {
		if name == "" {
			return false
		}
		name, err := filepath.EvalSymlinks(name)
		return err == nil && name == real
	}
	for _, dir := range slices.Sorted(maps.Keys(s.usb)) {
		if u := s.usb[dir]; same(u.node) {
			return s.functions(u, real)
		}
	}
	return s.listed(func(d *Device) bool { return same(d.Node) }), nil
}

func (s *scan) atNumber(real string, n sysfs.Number) ([]*Device, error) {
	dir, err := s.fs.ByNumber(n)
	if err != nil {
		return nil, err
	}
	if devices, is, err := s.atAlias(dir, real, n); is {
		return devices, err
	}
	if dir != "" && s.isUSB(dir) && !isInterface(dir) {
		return s.functions(s.readUSB(dir), real)
	}
	if devices := s.listed(func(d *Device) bool {
		if dir != "" {
			return d.Key == dir
		}
		id, err := devnode.Identify(d.Node) // in the trees of tests
		return err == nil && number(id) == n
	}); len(devices) > 0 {
		return devices, nil
	}
	switch {
	case dir == "" && isPTY(n):
		return []*Device{virtual("", real)}, nil
	case dir == "":
		return nil, fmt.Errorf("%w (%s %v)", ErrNoDevice, n.Kind, n)
	case n.Kind != "block":
		return s.above(dir, real)
	}
	lowest, err := s.lowest(dir)
	if err != nil {
		return nil, err
	}
	return s.aboveAll(lowest, real)
}

// virtual is a device about which nothing else is known.
func virtual(dir, node string) *Device {
	return &Device{Key: dir, Node: node, Bus: "virtual", Interface: -1}
}

// isPTY reports whether the number is a pseudo terminal's (devices.txt). Those are
// not in sysfs.
func isPTY(n sysfs.Number) bool { return n.Kind == "char" && n.Major >= 136 && n.Major <= 143 }

// aboveAll is above for several devices.
func (s *scan) aboveAll(dirs []string, node string) (devices []*Device, err error) {
	for _, dir := range dirs {
		above, err := s.above(dir, node)
		if err != nil {
			return nil, err
		}
		devices = append(devices, above...)
	}
	return devices, nil
}

func isInterface(dir string) bool { return strings.Contains(path.Base(dir), ":") }

func (s *scan) isUSB(dir string) bool { return s.fs.Link(dir, "subsystem") == "usb" }

// above returns the devices that the device at dir is part of.
func (s *scan) above(dir, node string) ([]*Device, error) {
	d := &Device{Key: dir, Node: node, Subsystem: s.fs.Link(dir, "subsystem"), Interface: -1}
	hid := ""
	for p := dir; strings.Contains(p, "/"); p = path.Dir(p) {
		subsystem := s.fs.Link(p, "subsystem")
		if d.Driver == "" {
			d.Driver = s.fs.Link(p, "driver")
		}
		switch {
		case subsystem == "hid" && hid == "":
			hid = p
			// A Bluetooth device is not part of the USB adapter above it.
			if parseHIDID(s.fs.Uevent(p)["HID_ID"]).bus != busUSB {
				return s.aboveHID(d, hid), nil
			}
		case subsystem == "usb" && isInterface(p):
			u := s.readUSB(path.Dir(p))
			at := slices.IndexFunc(u.interfaces, func(i usbInterface) bool { return i.path == p })
			if at < 0 {
				return nil, errHalfGone
			}
			i := &u.interfaces[at]
			s.fill(d, u, i)
			s.exclude(d, u, i, hid)
			describe(d, u, i)
			return []*Device{d}, nil
		case subsystem == "usb":
			return s.functions(s.readUSB(p), node)
		case d.Bus == "" && s.fs.IsBus(p) && subsystem != "scsi" && subsystem != "hid" && subsystem != "serial-base":
			d.Bus = subsystem
		}
	}
	if hid != "" {
		return s.aboveHID(d, hid), nil
	}
	if d.Bus == "" {
		d.Bus = "virtual"
	}
	return []*Device{d}, nil
}

// aboveHID describes a HID device that is not on USB.
func (s *scan) aboveHID(d *Device, hid string) []*Device {
	for p := path.Dir(hid); d.Bus == "" && strings.Contains(p, "/"); p = path.Dir(p) {
		if subsystem := s.fs.Link(p, "subsystem"); subsystem != "" && subsystem != "hid" && subsystem != "misc" {
			d.Bus = subsystem
		}
	}
	if d.Bus == "" {
		d.Bus = "virtual"
	}
	s.otherHID(hid, d)
	s.hid(hid, d, usbClass{})
	d.Description.Name = d.name(nil)
	d.identifyHID()
	d.Description.Container = d.container(nil)
	return []*Device{d}
}

// exclude sets why a device at a USB interface is not eligible.
func (s *scan) exclude(d *Device, u *usbDevice, i *usbInterface, hid string) {
	defer s.excludeShared(d, u)
	switch {
	case d.Subsystem == "tty":
		s.tty(d.Key, d, u, i)
		return
	case d.Subsystem == "hidraw":
		s.hidraw(d.Key, d, u, i)
		return
	case d.Subsystem == "usbmisc" && s.usbmisc(d.Key, d, u, i):
		return
	case hid != "":
		s.hid(hid, d, i.usbClass)
	}
	if d.Excluded != "" {
		return
	}
	if d.Excluded, _ = i.whyNot(); d.MTP {
		d.Excluded = ""
	}
}

// errHalfGone says that a USB device's attributes are incomplete.
var errHalfGone = errors.New("the USB device is coming or going")

// functions returns all functions of a USB device.
func (s *scan) functions(u *usbDevice, node string) ([]*Device, error) {
	for _, name := range s.fs.List(u.path) {
		dir := path.Join(u.path, name)
		if strings.HasPrefix(name, path.Base(u.path)+":") &&
			!slices.ContainsFunc(u.interfaces, func(i usbInterface) bool { return i.path == dir }) {
			return nil, errHalfGone
		}
	}
	var devices []*Device
	for n := range u.interfaces {
		i := &u.interfaces[n]
		below := s.listed(func(d *Device) bool { return isBelow(d.Key, i.path) })
		if len(below) == 0 {
			d := &Device{Key: i.path, Node: node, Subsystem: "usb"}
			s.fill(d, u, i)
			s.exclude(d, u, i, "")
			describe(d, u, i)
			below = []*Device{d}
		}
		devices = append(devices, below...)
	}
	if len(devices) > 0 {
		return devices, nil
	}
	// It has no interfaces: it is not configured, or not authorized.
	u.vendor, u.product = s.hex(u.path, "idVendor"), s.hex(u.path, "idProduct")
	u.revision = s.hex(u.path, "bcdDevice")
	if s.fs.Text(u.path, "idVendor") == "" {
		return nil, errHalfGone
	}
	i := &usbInterface{path: u.path}
	i.class = uint8(s.hex(u.path, "bDeviceClass"))
	i.sub, i.protocol = uint8(s.hex(u.path, "bDeviceSubClass")), uint8(s.hex(u.path, "bDeviceProtocol"))
	d := &Device{Key: u.path, Node: node, Subsystem: "usb", Excluded: becauseClass}
	s.fill(d, u, i)
	d.Interface = -1
	describe(d, u, i)
	return []*Device{d}, nil
}

func (s *scan) hex(name ...string) uint16 {
	n, _ := s.fs.Hex(name...)
	return n
}
