// SPDX-License-Identifier: Apache-2.0

package discovertest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// Plugged is a device that was plugged in.
type Plugged struct {
	// Key is the device's path below the root of sysfs.
	Key string
	// Keys and Nodes are those of its functions that have nodes, in the order
	// of its interfaces.
	Keys, Nodes []string

	tree    *Tree
	port    string
	made    []made
	usbNode string // of the device as a whole
}

// made is a directory in sysfs for which the kernel sends messages.
type made struct{ path, subsystem string }

// Plug plugs a device in and sends the kernel's messages. Its nodes are plain
// files unless the device says otherwise.
func (m *Tree) Plug(d USB) *Plugged {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.plug(d)
	for _, made := range p.made {
		m.event("add", made.path, made.subsystem)
	}
	return p
}

// PlugUnseen plugs a device in without a message.
func (m *Tree) PlugUnseen(d USB) *Plugged {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plug(d)
}

func (m *Tree) plug(d USB) *Plugged {
	m.t.Helper()
	port := d.Port
	for n := 1; port == ""; n++ {
		if free := fmt.Sprintf("1-%d", n); !m.taken[free] {
			port = free
		}
	}
	m.taken[port] = true
	p := &Plugged{Key: usbPath(port), tree: m, port: port}
	m.coming = p.Key
	m.device(p.Key, "usb", map[string]string{
		"idVendor": fmt.Sprintf("%04x\n", d.Vendor), "idProduct": fmt.Sprintf("%04x\n", d.ProductID),
		"manufacturer": line(d.Manufacturer), "product": line(d.Product), "serial": line(d.Serial),
		"removable": line(d.Removable),
	})
	m.symlink(p.Key, "bus/usb/devices/"+port)
	p.made = append(p.made, made{p.Key, "usb"})
	n := m.next["usb device"]
	m.next["usb device"]++
	p.usbNode = m.node(p.Key, "usb", fmt.Sprintf("bus/usb/001/%03d", n+2), "", d.Udev)
	for n, i := range d.Interfaces {
		p.addInterface(d, n, i)
	}
	m.appear()
	return p
}

func line(s string) string {
	if s == "" {
		return ""
	}
	return s + "\n"
}

// usbPath is where the kernel puts the device at a port: hubs nest.
func usbPath(port string) string {
	dir, at := controller, ""
	for n, hop := range strings.Split(port, ".") {
		if n > 0 {
			hop = at + "." + hop
		}
		at = hop
		dir = path.Join(dir, at)
	}
	return dir
}

func (p *Plugged) addInterface(d USB, n int, i Interface) {
	m := p.tree
	m.t.Helper()
	name := fmt.Sprintf("%s:1.%d", p.port, n)
	dir := path.Join(p.Key, name)
	m.device(dir, "usb", map[string]string{
		"modalias": fmt.Sprintf("usb:v%04Xp%04Xd%04Xdc%02Xdsc%02Xdp%02Xic%02Xisc%02Xip%02Xin%02X\n",
			d.Vendor, d.ProductID, d.Revision, d.Class, d.SubClass, d.Protocol, i.Class, i.SubClass, i.Protocol, n),
		"bInterfaceNumber": fmt.Sprintf("%02x\n", n),
		"interface":        line(i.Name),
	})
	if i.Association > 0 {
		m.file(m.sys(path.Join(dir, "iad_bFirstInterface")), fmt.Sprintf("%02x\n", i.Association-1))
		for n, name := range []string{"Class", "SubClass", "Protocol"} {
			m.file(m.sys(path.Join(dir, "iad_bFunction"+name)), fmt.Sprintf("%02x\n", i.Function[n]))
		}
	}
	m.driver(dir, "usb", i.Driver)
	m.symlink(dir, "bus/usb/devices/"+name)
	p.made = append(p.made, made{dir, "usb"})
	for _, child := range i.Children {
		m.mkdir(m.sys(path.Join(dir, child)))
	}
	if i.HIDRaw == "" {
		p.addInputs(dir, i.Inputs)
	}
	switch {
	case strings.HasPrefix(i.TTY, "ttyUSB"):
		tty := m.number(i.TTY)
		port := path.Join(dir, tty)
		m.device(port, "usb-serial", nil)
		p.made = append(p.made, made{port, "usb-serial"})
		p.addNode(path.Join(port, "tty", tty), "tty", i)
	case i.TTY != "":
		p.addNode(path.Join(dir, "tty", m.number(i.TTY)), "tty", i)
	case i.HIDRaw != "":
		p.addHID(dir, 3, i, map[string]string{"NAME": strings.TrimSpace(d.Manufacturer + " " + d.Product), "UNIQ": d.Serial},
			d.Vendor, d.ProductID)
	case i.USBMisc != "":
		p.addNode(path.Join(dir, "usbmisc", m.number(i.USBMisc)), "usbmisc", i)
	}
}

// addHID makes a HID device below dir and its hidraw node.
func (p *Plugged) addHID(dir string, bus int, i Interface, names map[string]string, vendor, product uint16) {
	m := p.tree
	m.t.Helper()
	m.next["hid"]++
	hid := path.Join(dir, fmt.Sprintf("%04X:%04X:%04X.%04X", bus, vendor, product, m.next["hid"]))
	m.device(hid, "hid", map[string]string{
		"report_descriptor": string(i.Report),
		"uevent": fmt.Sprintf("DRIVER=hid-generic\nHID_ID=%04X:%08X:%08X\nHID_NAME=%s\nHID_PHYS=%s\nHID_UNIQ=%s\n",
			bus, vendor, product, names["NAME"], names["PHYS"], names["UNIQ"]),
	})
	m.driver(hid, "hid", "hid-generic")
	p.made = append(p.made, made{hid, "hid"})
	p.addInputs(hid, i.Inputs)
	p.addNode(path.Join(hid, "hidraw", m.number(i.HIDRaw)), "hidraw", i)
}

// PlugBluetooth connects a HID device as BlueZ does, by way of uhid.
func (m *Tree) PlugBluetooth(d Bluetooth) *Plugged {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	uhid := "devices/virtual/misc/uhid"
	if _, err := os.Stat(m.sys(uhid)); err != nil {
		m.device(uhid, "misc", nil)
	}
	p := &Plugged{tree: m}
	p.addHID(uhid, 5, Interface{HIDRaw: "hidraw#", Report: d.Report, Target: d.Target},
		map[string]string{"NAME": d.Name, "PHYS": d.Phys, "UNIQ": d.Address}, d.Vendor, d.ProductID)
	p.Key = p.made[0].path
	for _, made := range p.made {
		m.event("add", made.path, made.subsystem)
	}
	return p
}

// AddSerialPort adds a built-in serial port, such as ttyS0. If real is false the
// kernel has only reserved it.
func (m *Tree) AddSerialPort(name string, real bool) *Plugged {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, bus, kind := "devices/platform/serial8250/"+name, "platform", "0\n"
	if real {
		parent, bus, kind = "devices/pnp0/00:0"+name[len(name)-1:], "pnp", "4\n"
	}
	p := &Plugged{Key: parent, tree: m}
	m.device(parent, bus, nil)
	p.made = append(p.made, made{parent, bus})
	p.addNode(path.Join(parent, "tty", name), "tty", Interface{})
	m.file(m.sys(path.Join(p.Keys[0], "type")), kind)
	return p
}

func (p *Plugged) addNode(dir, class string, i Interface) {
	p.tree.t.Helper()
	node := p.tree.node(dir, class, path.Base(dir), i.Target, nil)
	p.Keys, p.Nodes = append(p.Keys, dir), append(p.Nodes, node)
	p.made = append(p.made, made{dir, class})
}

// Unplug takes the device away and sends the kernel's messages.
func (p *Plugged) Unplug() {
	p.tree.t.Helper()
	p.tree.mu.Lock()
	defer p.tree.mu.Unlock()
	p.unplug()
	for _, made := range slices.Backward(p.made) {
		p.tree.event("remove", made.path, made.subsystem)
	}
}

// UnplugUnseen takes the device away without a message.
func (p *Plugged) UnplugUnseen() {
	p.tree.t.Helper()
	p.tree.mu.Lock()
	defer p.tree.mu.Unlock()
	p.unplug()
}

func (p *Plugged) unplug() {
	m := p.tree
	m.t.Helper()
	for _, node := range p.Nodes {
		require.NoError(m.t, os.Remove(node))
	}
	for _, made := range p.made {
		name := path.Base(made.path)
		for _, link := range []string{path.Join("class", made.subsystem, name), path.Join("bus/usb/devices", name)} {
			_ = os.Remove(m.sys(link))
		}
		if r, ok := m.records[made.path]; ok {
			_ = os.Remove(filepath.Join(m.Udev, "data", "c"+r.number))
			_ = os.Remove(m.sys("dev/char/" + r.number))
			delete(m.records, made.path)
		}
	}
	// In one step, so that no look sees half of it.
	away := filepath.Join(TempDir(m.t), "gone")
	require.NoError(m.t, os.Rename(m.sys(p.Key), away))
	if p.usbNode != "" {
		require.NoError(m.t, os.Remove(p.usbNode))
	}
	delete(m.taken, p.port)
}
