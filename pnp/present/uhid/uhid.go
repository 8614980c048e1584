// SPDX-License-Identifier: Apache-2.0

// Package uhid presents a redirected HID device as one of this machine's kernel
// (/dev/uhid): with the original's report descriptor, ids and names, with a hidraw node
// and, if the user wishes, as an input device of the desktop.
//
// # The client
//
// The client has to give the report descriptor (hidreport.Identity). Ours does; that of
// Windows does not, and its devices have their folder only. The device is open at the
// client while a program has the kernel's device open, or waits for a report that it
// sent or asked for. Some reads are pending all the time then, so that an input report
// takes half a round trip.
//
// # Reports
//
// A report has the same bytes at both ends, except that an input report that the
// original made shorter than declared is padded with zeros: that is Windows' layout. So
// is one that a program sends. The kernel does not wait for an output report to be
// sent, and tells programs no more of a report that failed than EIO. After five seconds
// it gives up a report that was asked for; the client is then asked to cancel it.
//
// # Input devices
//
// The kernel makes input devices of keyboards, pointing devices and others, and the
// client decides what its device is. Unless the user wishes that, no input may reach the
// desktop or a console of this machine: all of them are inhibited (Linux 5.11) before
// the first report is passed on, which does not affect hidraw, and so are those that a
// driver makes later. That takes root, or a udev rule; without either, the device is not
// made, or is taken away.
package uhid

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf16"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/sysfs"
	"freerdp-pnpdr/pnp/present"
)

// Link is the name of the link to the hidraw node in the device's folder.
const Link = "hidraw"

// Present implements present.Kind.
func Present(ctx context.Context, d *present.Device) (present.Presentation, error) {
	return system{
		open:   func() (io.ReadWriteCloser, error) { return openKernel("/dev/uhid") },
		listen: discover.Listen,
		sysfs:  "/sys",
	}.present(ctx, d)
}

// system is the part of this machine that devices are made with. Tests have others.
type system struct {
	open   func() (io.ReadWriteCloser, error)
	listen func() (discover.Source, error)
	sysfs  string // mount point
}

// made numbers the devices of this process.
var made atomic.Int64

func (s system) present(ctx context.Context, d *present.Device) (present.Presentation, error) {
	file, err := s.open()
	if err != nil {
		return nil, err
	}
	k := &kernel{file}
	p, err := s.make(ctx, d, k)
	if err != nil {
		k.close()
		return nil, err
	}
	return p, nil
}

// make makes the kernel's device. The caller closes k if it fails.
func (s system) make(ctx context.Context, d *present.Device, k *kernel) (*presented, error) {
	i, names, err := identify(ctx, d)
	if err != nil {
		return nil, err
	}
	l, err := parse(i.Descriptor)
	if err != nil {
		return nil, err
	}
	var source discover.Source
	if !d.Options.Input { // before anything can be missed
		if source, err = s.listen(); err != nil {
			return nil, err
		}
	}
	phys := hidreport.Phys(d.Options.Input, os.Getuid(), fmt.Sprintf("%d-%d", os.Getpid(), made.Add(1)))
	p := newPresented(d, k, l, source)
	if err := k.create(i, names.device(), phys, names.serial); err != nil {
		p.Close()
		return nil, fmt.Errorf("making a HID device: %w", err)
	}
	in := inputs{root: s.sysfs, phys: phys, wanted: d.Options.Input}
	node, err := in.settle(ctx)
	if err != nil {
		p.Close()
		return nil, err
	}
	p.link = filepath.Join(d.Dir, Link)
	os.Remove(p.link) // what a process before left
	if err := os.Symlink(node, p.link); err != nil {
		d.Log.Warn("making the link to the HID device failed", "err", err)
	}
	d.Log.Info("HID device is made", "node", node, "input", d.Options.Input)
	p.ready(in)
	return p, nil
}

// errNoDescriptor is for a client that does not know our request.
var errNoDescriptor = errors.New("the client does not give the report descriptor, which takes this project's client: no HID device is made of it")

// names are the strings of a device.
type names struct{ manufacturer, product, serial string }

// device is what the kernel's USB driver calls a device.
func (n names) device() string {
	if n.manufacturer == "" || strings.HasPrefix(n.product, n.manufacturer+" ") {
		return n.product
	}
	return strings.TrimSpace(n.manufacturer + " " + n.product)
}

// identify asks the client what the device is.
func identify(ctx context.Context, d *present.Device) (hidreport.Identity, names, error) {
	h, err := d.Open(ctx, server.OpenOptions{})
	if err != nil {
		return hidreport.Identity{}, names{}, err
	}
	defer h.Close()
	b := make([]byte, hidreport.MaxIdentity)
	n, err := h.IOControl(ctx, hidreport.IOCTL_PNPDR_HID_GET_IDENTITY, nil, b)
	switch {
	case errors.Is(err, pnp.ERROR_INVALID_FUNCTION), errors.Is(err, pnp.ERROR_NOT_SUPPORTED):
		return hidreport.Identity{}, names{}, errNoDescriptor
	case err != nil:
		return hidreport.Identity{}, names{}, fmt.Errorf("asking for the report descriptor: %w", err)
	}
	i, err := hidreport.ParseIdentity(b[:n])
	if err != nil {
		return hidreport.Identity{}, names{}, err
	}
	// What the device does not have is an error, too.
	text := func(code uint32) string {
		b := make([]byte, 512) // a USB string has at most 126 units
		n, err := h.IOControl(ctx, code, nil, b)
		if err != nil {
			return ""
		}
		return decodeString(b[:n])
	}
	s := names{
		manufacturer: text(hid.IOCTL_HID_GET_MANUFACTURER_STRING),
		product:      text(hid.IOCTL_HID_GET_PRODUCT_STRING),
		serial:       text(hid.IOCTL_HID_GET_SERIALNUMBER_STRING),
	}
	if strings.TrimSpace(s.device()) == "" {
		s.product = sysfs.Clean(d.Description().Name)
	}
	return i, s, ctx.Err()
}

// decodeString reads UTF-16 up to a zero. Characters that are not printable become
// spaces: the kernel shows the strings in lines of a file. All others stay, since
// drivers compare them.
func decodeString(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(utf16.Decode(units)))
}
