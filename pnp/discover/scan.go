// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// found is a device and what the monitor needs to know about it.
type found struct {
	*Device
	// instance differs if another device has taken the place of this one.
	instance uint64
	// access are the bits of unix.R_OK and W_OK that the user has.
	access uint32
	// initialized is set if udev has a record of the device.
	initialized bool
	// early is set if the device was reported before udev had reported it.
	early bool
}

// path is the path of the device that the node belongs to.
func (f *found) path() string {
	if f.Subsystem == "usb" {
		return path.Dir(f.Key)
	}
	return f.Key
}

// scan is one look at sysfs.
type scan struct {
	cfg    Config
	fs     *sysfs.Tree
	usb    map[string]*usbDevice
	inputs []string        // the kernel's input devices; nil if nobody has looked yet
	taken  map[string]bool // the USB interfaces that have a node
	found  map[string]*found
}

// look lists all devices. It fails if something is there that cannot be read, so
// a device that is missing from the result has gone.
func look(cfg Config) (map[string]*found, error) {
	s, err := newScan(cfg)
	if err != nil {
		return nil, err
	}
	s.all()
	if s.fs.Err() != nil {
		return nil, fmt.Errorf("discover: %w", s.fs.Err())
	}
	return s.found, nil
}

func newScan(cfg Config) (*scan, error) {
	tree, err := sysfs.Open(cfg.SysRoot)
	if err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	return &scan{
		cfg: cfg, fs: tree, usb: make(map[string]*usbDevice),
		taken: make(map[string]bool), found: make(map[string]*found),
	}, nil
}

// all finds everything that discovery lists.
func (s *scan) all() {
	for _, class := range []struct {
		name string
		add  func(dir string, d *Device, u *usbDevice, i *usbInterface) bool
	}{{"tty", s.tty}, {"hidraw", s.hidraw}, {"usbmisc", s.usbmisc}} {
		for _, name := range s.fs.List("class", class.name) {
			s.nodeDevice(class.name, name, class.add)
		}
	}
	for _, name := range s.fs.List("bus/usb/devices") {
		if strings.Contains(name, ":") {
			s.bareInterface(path.Join("bus/usb/devices", name))
		}
	}
}

// nodeDevice lists a member of a class if add wants it.
func (s *scan) nodeDevice(class, name string, add func(string, *Device, *usbDevice, *usbInterface) bool) {
	entry := path.Join("class", class, name)
	// Most terminals are virtual, which the link tells already.
	if target := s.fs.Target(entry); target == "" || strings.Contains(target, "/devices/virtual/tty/") {
		return
	}
	dir, ok := s.fs.Resolve(entry)
	if !ok {
		return
	}
	instance, _ := s.fs.Inode(dir)
	uevent := s.fs.Uevent(dir)
	d := &Device{Key: dir, Subsystem: class, Interface: -1, Node: s.node(uevent)}
	if d.Node == "" {
		return // it is coming or going
	}
	u, i := s.parents(dir, d)
	if d.Bus == "usb" && u == nil {
		return // it is going
	}
	if !add(dir, d, u, i) {
		return
	}
	if i != nil {
		s.taken[i.path] = true
	}
	_, initialized := s.udevData(uevent)
	s.add(d, u, i, instance, initialized)
}

// add lists a device if its directory is still the one whose inode was instance,
// and nothing was missing while it was read. The kernel removes a device in this
// order: its children, its node, its attributes, its directory.
func (s *scan) add(d *Device, u *usbDevice, i *usbInterface, instance uint64, initialized bool) {
	s.excludeShared(d, u)
	describe(d, u, i)
	f := &found{Device: d, instance: instance, access: d.access(), initialized: initialized}
	if d.Subsystem == "usb" {
		if s.fs.Text(d.Key, "modalias") == "" {
			return
		}
	} else if !s.isNode(d.Node) {
		return
	}
	if now, ok := s.fs.Inode(d.Key); ok && now == instance {
		s.found[d.Key] = f
	}
}

// parents fills in d from the devices above it, and returns the USB interface if
// one of them is.
func (s *scan) parents(dir string, d *Device) (*usbDevice, *usbInterface) {
	for p := path.Dir(dir); strings.Contains(p, "/"); p = path.Dir(p) {
		subsystem := s.fs.Link(p, "subsystem")
		if d.Driver == "" {
			d.Driver = s.fs.Link(p, "driver")
		}
		switch subsystem {
		case "", "tty", "hid", "hidraw", "usbmisc", "usb-serial", "serial", "serial-base", "misc":
			continue // not a bus
		}
		d.Bus = subsystem
		if subsystem != "usb" {
			return nil, nil
		}
		u := s.readUSB(path.Dir(p))
		for i := range u.interfaces {
			if u.interfaces[i].path == p {
				s.fill(d, u, &u.interfaces[i])
				return u, &u.interfaces[i]
			}
		}
		return nil, nil
	}
	d.Bus = "virtual"
	return nil, nil
}

// fill copies what is known about a USB interface.
func (s *scan) fill(d *Device, u *usbDevice, i *usbInterface) {
	d.Bus, d.Port, d.Interface, d.Composite = "usb", u.port, int(i.number), u.composite
	d.VendorID, d.ProductID, d.Revision = u.vendor, u.product, u.revision
	d.Class, d.SubClass, d.Protocol = i.class, i.sub, i.protocol
	d.Manufacturer, d.Product, d.Serial = u.manufacturer, u.name, u.serial
	d.Driver, d.Fixed = i.driver, u.fixed
	d.MTP = u.mtp >= 0 && &u.interfaces[u.mtp] == i
}

// nodePath returns the path of the node that a uevent file names; "" if it names
// none.
func (s *scan) nodePath(uevent map[string]string) string {
	name := uevent["DEVNAME"]
	if !filepath.IsLocal(name) {
		return ""
	}
	return filepath.Join(s.cfg.DevRoot, name)
}

// node returns the path of the node that a uevent file names; "" if it does not
// exist.
func (s *scan) node(uevent map[string]string) string {
	node := s.nodePath(uevent)
	if node == "" || !s.isNode(node) {
		return ""
	}
	return node
}

func (s *scan) isNode(name string) bool {
	st, err := os.Stat(name)
	if errors.Is(err, unix.EACCES) {
		return false // the user may not see it
	}
	return !s.fs.Failed(err) && !st.IsDir()
}

func (s *scan) tty(dir string, d *Device, u *usbDevice, _ *usbInterface) bool {
	if u != nil {
		if u.connects() {
			d.Excluded = becauseModem
		}
		// …/1-1:1.0/ttyUSB1/tty/ttyUSB1
		d.portNumber, _ = strconv.Atoi(s.fs.Text(path.Dir(path.Dir(dir)), "port_number"))
		return true
	}
	// The 8250 driver reserves ports that do not exist: their type is 0.
	if d.Bus == "virtual" || s.fs.Text(dir, "type") == "0" {
		return false
	}
	d.Excluded = becauseFixedTTY
	return true
}

func (s *scan) usbmisc(_ string, d *Device, u *usbDevice, i *usbInterface) bool {
	if u == nil || i.class == classHID {
		return false // hiddev, which has a hidraw node as well
	}
	if i.class == classPrinter {
		return true
	}
	var hidden bool
	d.Excluded, hidden = i.whyNot()
	return !hidden
}

func (s *scan) hidraw(dir string, d *Device, u *usbDevice, i *usbInterface) bool {
	hid := path.Dir(path.Dir(dir)) // …/0003:046D:C31C.0001/hidraw/hidraw0
	var class usbClass
	copied := false
	if u != nil {
		class = i.usbClass
	} else {
		copied = s.otherHID(hid, d)
	}
	if s.hid(hid, d, class); copied {
		d.Excluded = becauseCopy
	}
	return true
}

// hid judges a HID device by its report descriptor.
func (s *scan) hid(hid string, d *Device, class usbClass) {
	d.hid = true
	// One byte more than allowed, so that a descriptor that is too long is
	// refused rather than cut off.
	report, err := hidreport.Parse(s.fs.Read(hidreport.MaxDescriptor+1, hid, "report_descriptor"))
	if err == nil {
		d.Usages, d.separate = report.TopLevel(), report.Separate()
	}
	if d.Excluded = whyNotHID(class, report, err); d.Excluded == "" {
		d.Excluded = s.inputsBelow(hid)
	}
}

// otherHID describes a HID device that is not on USB. It reports whether the device was
// made of one that is redirected to this machine.
func (s *scan) otherHID(hid string, d *Device) (copied bool) {
	p := s.fs.Uevent(hid)
	id := parseHIDID(p["HID_ID"])
	switch id.bus {
	case busBluetooth:
		d.Bus = "bluetooth"
	case busI2C:
		d.Bus = "i2c"
	case busVirtual, busUSB: // USB without a USB interface: a program made it
		d.Bus = "virtual"
	}
	d.VendorID, d.ProductID = id.vendor, id.product
	d.Product, d.Serial = sysfs.Clean(p["HID_NAME"]), sysfs.Clean(p["HID_UNIQ"])
	d.Driver = s.fs.Link(hid, "driver")
	d.Fixed = d.Bus == "i2c"
	return hidreport.IsCopy(p["HID_PHYS"])
}

// bareInterface lists a USB interface that has no node of its own.
func (s *scan) bareInterface(entry string) {
	dir, ok := s.fs.Resolve(entry)
	if !ok || s.taken[dir] {
		return
	}
	instance, _ := s.fs.Inode(dir)
	u := s.readUSB(path.Dir(dir))
	at := slices.IndexFunc(u.interfaces, func(i usbInterface) bool { return i.path == dir })
	if at < 0 {
		return
	}
	i := &u.interfaces[at]
	d := &Device{Key: dir, Node: u.node, Subsystem: "usb"}
	s.fill(d, u, i)
	var hidden bool
	if d.Excluded, hidden = i.whyNot(); hidden {
		return
	}
	if d.MTP {
		d.Excluded = ""
	}
	if s.hasNode(i) {
		return // it is listed once its node is there
	}
	s.add(d, u, i, instance, u.initialized)
}

// hasNode reports whether the interface's driver makes a node, which is listed
// instead of the interface.
func (s *scan) hasNode(i *usbInterface) bool {
	for _, name := range i.children {
		switch {
		case strings.HasPrefix(name, "tty"), name == "usbmisc" && i.class != classHID:
			return true
		case i.class == classHID && strings.Contains(name, ":") && len(s.fs.List(i.path, name, "hidraw")) > 0:
			return true
		}
	}
	return false
}

// Scan returns the devices that are there now, sorted by Key. It leaves out one
// that vanishes meanwhile. It fails if sysfs cannot be read.
func Scan(cfg Config) ([]*Device, error) {
	all, err := look(cfg.withDefaults())
	if err != nil {
		return nil, err
	}
	var devices []*Device
	for _, key := range slices.Sorted(maps.Keys(all)) {
		devices = append(devices, all[key].Device)
	}
	return devices, nil
}

func (d *Device) access() uint32 {
	var granted uint32
	if d.Node == "" {
		return 0
	}
	for _, mode := range []uint32{unix.R_OK, unix.W_OK} {
		if unix.Faccessat(unix.AT_FDCWD, d.Node, mode, unix.AT_EACCESS) == nil {
			granted |= mode
		}
	}
	return granted
}
