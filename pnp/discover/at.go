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
// After an error the node could belong to any device.
func At(cfg Config, node string) ([]*Device, error) {
	devices, err := at(cfg.withDefaults(), node)
	if err != nil {
		return nil, fmt.Errorf("discover: identifying the device at %s: %w", node, err)
	}
	return devices, nil
}

// nodeNumber returns the number of a node. It is zero if there is no device node
// at that path; then plain tells whether there is a regular file.
func nodeNumber(node string) (n sysfs.Number, plain bool, err error) {
	id, err := devnode.Identify(node)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return sysfs.Number{}, false, nil
	case err != nil:
		return sysfs.Number{}, false, err
	}
	switch id.Mode {
	case unix.S_IFCHR:
		return sysfs.CharNumber(id.Rdev), false, nil
	case unix.S_IFBLK:
		return sysfs.BlockNumber(id.Rdev), false, nil
	}
	return sysfs.Number{}, id.Mode == unix.S_IFREG, nil
}

func at(cfg Config, node string) ([]*Device, error) {
	n, plain, err := nodeNumber(node)
	if err != nil {
		return nil, err
	}
	real := node
	if n.Kind != "" || plain {
		if real, err = filepath.EvalSymlinks(node); err != nil {
			return nil, err
		}
	}
	if n.Kind == "" {
		// In the trees of tests, nodes may be plain files.
		dev, err := filepath.EvalSymlinks(cfg.DevRoot)
		if !plain || err != nil || !strings.HasPrefix(real, dev+"/") {
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
		devices, err = s.atFile(node, real)
	} else {
		devices, err = s.atNumber(node, real, n)
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

func (s *scan) atFile(node, real string) ([]*Device, error) {
	same := func(name string) bool {
		if name == "" {
			return false
		}
		name, err := filepath.EvalSymlinks(name)
		return err == nil && name == real
	}
	for _, dir := range slices.Sorted(maps.Keys(s.usb)) {
		if u := s.usb[dir]; same(u.node) {
			return s.functions(u, node)
		}
	}
	return s.listed(func(d *Device) bool { return same(d.Node) }), nil
}

func (s *scan) atNumber(node, real string, n sysfs.Number) ([]*Device, error) {
	dir, err := s.fs.ByNumber(n)
	if err != nil {
		return nil, err
	}
	if dir != "" && s.isUSB(dir) && !isInterface(dir) {
		return s.functions(s.readUSB(dir), node)
	}
	if devices := s.listed(func(d *Device) bool {
		if dir != "" {
			return d.Key == dir
		}
		is, _, err := nodeNumber(d.Node)
		return err == nil && is == n
	}); len(devices) > 0 {
		return devices, nil
	}
	if dir == "" {
		return []*Device{{Node: real, Bus: "virtual", Interface: -1}}, nil
	}
	if n.Kind != "block" {
		return s.above(dir, node, real)
	}
	lowest, err := s.lowest(dir)
	if err != nil {
		return nil, err
	}
	var devices []*Device
	for _, dir := range lowest {
		above, err := s.above(dir, node, real)
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
func (s *scan) above(dir, node, real string) ([]*Device, error) {
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
	d.Node = real
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
	d.Description.HardwareIDs = d.hidIDs()
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
