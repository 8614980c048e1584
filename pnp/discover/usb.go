// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// usbDevice is what sysfs and udev know about a USB device.
type usbDevice struct {
	path                       string
	port                       string
	vendor, product, revision  uint16
	manufacturer, name, serial string
	fixed, composite           bool
	node                       string // "" if there is none
	properties                 map[string]string
	class                      usbClass
	interfaces                 []usbInterface
	mtp                        int // index into interfaces, or -1
	initialized                bool
	use                        string // what usbUse found, once it is judged
	judged                     bool
}

// usbInterface is an interface of the active configuration.
type usbInterface struct {
	path   string
	number uint8
	usbClass
	name   string
	driver string
	// follows is set if it is not the first interface of its function.
	follows bool
	// function is the class of its function: that of the interface association
	// descriptor, or else its own.
	function usbClass
	// children are the names in its directory.
	children []string
}

// usbClass is the class code of a USB device or interface.
type usbClass struct{ class, sub, protocol uint8 }

// readUSB reads the USB device at dir. It avoids attributes that take the device's
// lock, such as bNumInterfaces: a device that is being reset would block the scan.
func (s *scan) readUSB(dir string) *usbDevice {
	if d, ok := s.usb[dir]; ok {
		return d
	}
	fs := s.fs
	d := &usbDevice{
		path: dir, port: sysfs.Clean(path.Base(dir)),
		manufacturer: fs.Text(dir, "manufacturer"),
		name:         fs.Text(dir, "product"),
		serial:       fs.Text(dir, "serial"),
		fixed:        fs.Text(dir, "removable") == "fixed",
		mtp:          -1,
	}
	s.usb[dir] = d
	uevent := fs.Uevent(dir)
	d.node = s.node(uevent)
	d.properties, d.initialized = s.udevData(uevent)
	for _, name := range fs.List(dir) {
		if strings.HasPrefix(name, path.Base(dir)+":") {
			s.readInterface(d, path.Join(dir, name))
		}
	}
	// Windows loads usbccgp for a device with several interfaces and no class
	// of its own, or the class that announces associations.
	ownClass := d.class != usbClass{} && d.class != usbClass{0xef, 2, 1}
	d.composite = len(d.interfaces) > 1 && !ownClass
	d.mtp = d.findMTP()
	return d
}

// modalias is the format of the attribute that has all numbers of an interface and
// of its device.
const modalias = "usb:v%04Xp%04Xd%04Xdc%02Xdsc%02Xdp%02Xic%02Xisc%02Xip%02Xin%02X"

func (s *scan) readInterface(d *usbDevice, dir string) {
	i := usbInterface{path: dir}
	if _, err := fmt.Sscanf(s.fs.Text(dir, "modalias"), modalias, &d.vendor, &d.product, &d.revision,
		&d.class.class, &d.class.sub, &d.class.protocol, &i.class, &i.sub, &i.protocol, &i.number); err != nil {
		return // it is going
	}
	i.name = s.fs.Text(dir, "interface")
	i.driver = s.fs.Link(dir, "driver")
	i.children = s.fs.List(dir)
	i.function = i.usbClass
	if slices.Contains(i.children, "iad_bFirstInterface") {
		first, ok := s.fs.Hex(dir, "iad_bFirstInterface")
		i.follows = ok && first != uint16(i.number)
		i.function.class = uint8(s.hex(dir, "iad_bFunctionClass"))
		i.function.sub = uint8(s.hex(dir, "iad_bFunctionSubClass"))
		i.function.protocol = uint8(s.hex(dir, "iad_bFunctionProtocol"))
	}
	d.interfaces = append(d.interfaces, i)
}

// findMTP returns the index of the interface that speaks MTP, or -1. No class says
// so: Microsoft's descriptor for it is read from the device by udev (mtp-probe),
// and Android names its interface.
func (d *usbDevice) findMTP() int {
	candidate := -1
	for i, f := range d.interfaces {
		switch {
		case f.class == 0xff && strings.Contains(f.name, "MTP"):
			return i
		case d.properties["ID_MTP_DEVICE"] != "1":
		case f.class == classStillImage:
			return i
		case f.class == 0xff && candidate < 0 && f.driver == "":
			candidate = i
		}
	}
	return candidate
}

// USB classes.
const (
	classAudio      = 0x01
	classComm       = 0x02
	classHID        = 0x03
	classStillImage = 0x06
	classPrinter    = 0x07
	classStorage    = 0x08
	classHub        = 0x09
	classCommData   = 0x0a
	classSmartCard  = 0x0b
	classVideo      = 0x0e
	classAudioVideo = 0x10
	classWireless   = 0xe0
	classMisc       = 0xef
	classVendor     = 0xff
)

// Why devices are not eligible.
const (
	becauseAudio     = "an audio device: RDP has sound channels of its own"
	becauseNetwork   = "a network device: it connects this machine"
	becauseBluetooth = "a Bluetooth adapter: this machine's own devices hang on it"
	becauseStorage   = "mass storage: RDP redirects drives by a channel of its own"
	becauseCard      = "a smart card reader: RDP has a channel of its own for it"
	becauseVideo     = "a video device: RDP has a camera channel of its own"
	becauseKeyboard  = "a keyboard: it drives the local desktop"
	becausePointer   = "a pointing device: it drives the local desktop"
	becauseControls  = "media or system keys: they drive the local desktop"
	becauseFIDO      = "a security key: whoever reaches it can ask it to sign in as its owner"
	becauseCopy      = "redirected to this machine: it would come back to where it is"
	becauseModem     = "part of a network device: this machine's connection may depend on it"
	becauseFixedTTY  = "part of this machine: it was not plugged in"
	becauseNoHIDRaw  = "it has no hidraw node: no HID driver uses it"
	becauseNoPrinter = "it has no printer port: usblp does not use it"
	becauseNoModem   = "it has no serial port: no serial driver uses it"
	becauseVendor    = "no backend for vendor-specific devices yet"
	becauseClass     = "no backend for devices of its class yet"
	becauseReport    = "its report descriptor is malformed"
	becauseNoUse     = "its report descriptor does not say what it is: name it with hid:PATH"
)

// kernelUses are names that drivers add to the directory of an interface. They tell
// what this machine uses it for, whatever its class says.
var kernelUses = map[string]string{
	"net": becauseNetwork, "ieee80211": becauseNetwork, "wwan": becauseNetwork,
	"bluetooth": becauseBluetooth, "sound": becauseAudio,
	"video4linux": becauseVideo, "dvb": becauseVideo,
}

// connects reports whether the device gives this machine a network interface. Its
// serial ports then control the connection.
func (d *usbDevice) connects() bool {
	return slices.ContainsFunc(d.interfaces, func(i usbInterface) bool {
		return slices.Contains(i.children, "net") || slices.Contains(i.children, "wwan")
	})
}

// whyNot says why an interface without a node of its own is not eligible. If hidden
// is set it is not listed at all.
func (i *usbInterface) whyNot() (reason string, hidden bool) {
	if i.class == classHub || i.class == classCommData || i.follows ||
		i.class == classAudio && i.sub != 1 && i.sub != 3 {
		return "", true // hubs, and parts of functions
	}
	for _, name := range i.children {
		if use := kernelUses[name]; use != "" {
			return use, false
		}
		if strings.HasPrefix(name, "host") {
			return becauseStorage, false // a SCSI host
		}
	}
	switch i.class {
	case classAudio:
		return becauseAudio, false
	case classComm:
		if i.sub == 1 || i.sub == 2 {
			return becauseNoModem, false
		}
		return becauseNetwork, false // ECM, EEM, NCM, MBIM and older ones
	case classHID:
		return becauseNoHIDRaw, false
	case classStillImage:
		return "", false
	case classPrinter:
		return becauseNoPrinter, false
	case classStorage:
		return becauseStorage, false
	case classSmartCard:
		return becauseCard, false
	case classVideo, classAudioVideo:
		return becauseVideo, false
	case classWireless:
		if i.sub == 1 && i.protocol == 1 {
			return becauseBluetooth, false
		}
		return becauseNetwork, false
	case classMisc:
		if i.sub == 4 {
			return becauseNetwork, false // RNDIS
		}
	case classVendor:
		return becauseVendor, false
	}
	return becauseClass, false
}
