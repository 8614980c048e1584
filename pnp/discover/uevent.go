// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// The header of udev's messages (libudev-monitor.c): a prefix, a magic number in
// network byte order, then in host byte order the header's length and the offset
// and length of the properties.
const (
	udevPrefix     = "libudev\x00"
	udevMagic      = 0xfeedcafe
	udevHeaderSize = 40
)

// parseUevent parses a message from the kernel or udev. ok is false if it is
// neither, or is not about a device.
func parseUevent(msg []byte) (e Uevent, ok bool) {
	var text []byte
	if bytes.HasPrefix(msg, []byte(udevPrefix)) {
		if len(msg) < udevHeaderSize || binary.BigEndian.Uint32(msg[8:]) != udevMagic {
			return Uevent{}, false
		}
		offset := uint64(binary.NativeEndian.Uint32(msg[16:]))
		length := uint64(binary.NativeEndian.Uint32(msg[20:]))
		if offset < udevHeaderSize || offset+length > uint64(len(msg)) {
			return Uevent{}, false
		}
		e.Udev, text = true, msg[offset:offset+length]
	} else {
		// The first line repeats two of the properties: add@/devices/…
		line, rest, found := bytes.Cut(msg, []byte{0})
		if !found || !bytes.Contains(line, []byte("@/")) {
			return Uevent{}, false
		}
		text = rest
	}
	p := sysfs.Properties(string(text), "\x00")
	e.Action, e.Subsystem = p["ACTION"], p["SUBSYSTEM"]
	if e.Path, ok = devicePath(p["DEVPATH"]); !ok || e.Action == "" {
		return Uevent{}, false
	}
	if major, minor := p["MAJOR"], p["MINOR"]; major != "" && minor != "" {
		e.Number = major + ":" + minor
	}
	e.OldPath, _ = devicePath(p["DEVPATH_OLD"])
	e.Seq, _ = strconv.ParseUint(p["SEQNUM"], 10, 64)
	return e, true
}

// devicePath turns DEVPATH into a path below the root of sysfs.
func devicePath(devpath string) (string, bool) {
	if !strings.HasPrefix(devpath, "/devices/") || path.Clean(devpath) != devpath {
		return "", false
	}
	return devpath[1:], true
}

// AppendKernel appends the event in the kernel's format.
func (e Uevent) AppendKernel(b []byte) []byte {
	b = append(b, e.Action+"@/"+e.Path+"\x00"...)
	return e.appendProperties(b)
}

// AppendUdev appends the event in udev's format.
func (e Uevent) AppendUdev(b []byte) []byte {
	text := e.appendProperties(nil)
	header := make([]byte, udevHeaderSize)
	copy(header, udevPrefix)
	binary.BigEndian.PutUint32(header[8:], udevMagic)
	binary.NativeEndian.PutUint32(header[12:], udevHeaderSize)
	binary.NativeEndian.PutUint32(header[16:], udevHeaderSize)
	binary.NativeEndian.PutUint32(header[20:], uint32(len(text)))
	return append(append(b, header...), text...)
}

func (e Uevent) appendProperties(b []byte) []byte {
	for _, p := range [][2]string{
		{"ACTION", e.Action}, {"DEVPATH", "/" + e.Path}, {"SUBSYSTEM", e.Subsystem},
		{"SEQNUM", strconv.FormatUint(e.Seq, 10)},
	} {
		b = append(b, p[0]+"="+p[1]+"\x00"...)
	}
	if major, minor, ok := strings.Cut(e.Number, ":"); ok {
		b = append(b, "MAJOR="+major+"\x00MINOR="+minor+"\x00"...)
	}
	if e.OldPath != "" {
		b = append(b, "DEVPATH_OLD=/"+e.OldPath+"\x00"...)
	}
	return b
}
