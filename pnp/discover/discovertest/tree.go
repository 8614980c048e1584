// SPDX-License-Identifier: Apache-2.0

// Package discovertest builds trees like /sys, /dev and /run/udev that hold
// typical devices, plugs and unplugs them, and sends the messages that the
// kernel and udev would send.
//
// The trees hold what package discover reads, laid out as the kernel does, in plain
// files. Descriptors are like those of real devices, only shorter.
package discovertest

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/discover"
)

// Tree is a machine without devices at first. Its methods may be called from
// any goroutine of the test.
type Tree struct {
	Sys, Dev, Udev string

	t  testing.TB
	mu sync.Mutex
	// next are the numbers of nodes, ports and HID devices.
	next    map[string]int
	taken   map[string]bool // ports
	udev    bool
	seq     uint64
	unheard []discover.Uevent // messages of the kernel that udev has not processed
	records map[string]record // by path in sysfs
	sources map[*Source]bool
	// realNodes is set if nodes are made by mknod.
	realNodes bool
	// coming is the device that is being plugged in. It is made at stage.
	coming, stage string
}

// record is what udev will record about a node.
type record struct {
	number     string
	properties map[string]string
}

// controller is the directory of the root hub.
const controller = "devices/pci0000:00/0000:00:14.0/usb1"

// TempDir returns a directory of the test's on the file system where trees are:
// in memory, as /sys and /dev are, where that is possible. On a disk a tree of
// many devices takes seconds.
func TempDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	var fs unix.Statfs_t
	// Not all tests of real nodes would work on a file system without devices.
	if unix.Statfs(memory, &fs) == nil && fs.Type == unix.TMPFS_MAGIC && fs.Flags&unix.ST_NODEV == 0 {
		if dir, err := os.MkdirTemp(memory, "pnpdr-test-"); err == nil {
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
			return dir
		}
	}
	return t.TempDir()
}

// New makes a machine in a temporary directory, without udev.
func New(t testing.TB) *Tree {
	t.Helper()
	root := TempDir(t)
	m := &Tree{
		stage: filepath.Join(root, "stage"),
		Sys:   filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev"), Udev: filepath.Join(root, "run/udev"),
		t: t, next: make(map[string]int), taken: make(map[string]bool),
		records: make(map[string]record), sources: make(map[*Source]bool),
	}
	for _, dir := range []string{
		m.Dev, m.Udev, m.sys("class/tty"), m.sys("class/hidraw"), m.sys("class/usbmisc"),
		m.sys("bus/usb/devices"), m.sys("bus/hid"), m.sys(controller), m.sys("dev/char"), m.sys("dev/block"),
	} {
		m.mkdir(dir)
	}
	m.rootHub()
	m.device("devices/virtual/mem/null", "mem", map[string]string{"uevent": "MAJOR=1\nMINOR=3\nDEVNAME=null\n"})
	m.symlink("devices/virtual/mem/null", "dev/char/1:3")
	return m
}

// Config makes discovery look at the tree and listen to it.
func (m *Tree) Config() discover.Config {
	return discover.Config{SysRoot: m.Sys, DevRoot: m.Dev, UdevRoot: m.Udev, Listen: m.Listen}
}

// RealNodes gives devices that are plugged in from now on device nodes instead of
// plain files. That takes root; without it the test is skipped. Do not open the
// nodes: their numbers may be those of this machine's devices.
func (m *Tree) RealNodes() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.realNodes = true
	name := filepath.Join(m.Dev, "null")
	if err := unix.Mknod(name, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		m.t.Skip("device nodes cannot be made: ", err)
	}
}

// AddNode adds a device below one that is plugged in, as a driver does, and makes a
// real device node for it. It returns the node's path.
func (m *Tree) AddNode(dir, subsystem, devname string, block bool) string {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	kind, mode := "char", uint32(unix.S_IFCHR)
	if block {
		kind, mode = "block", unix.S_IFBLK
	}
	minor := m.next["minor of "+kind]
	m.next["minor of "+kind]++
	m.device(dir, subsystem, map[string]string{
		"uevent": fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\n", otherMajor, minor, devname),
	})
	m.symlink(dir, fmt.Sprintf("dev/%s/%d:%d", kind, otherMajor, minor))
	node := filepath.Join(m.Dev, devname)
	m.mkdir(filepath.Dir(node))
	require.NoError(m.t, unix.Mknod(node, mode|0o600, int(unix.Mkdev(otherMajor, uint32(minor)))))
	return node
}

// Stack makes one block device a part of another.
func (m *Tree) Stack(upper, lower string) {
	m.t.Helper()
	m.mkdir(m.sys(path.Join(upper, "slaves")))
	m.symlink(lower, path.Join(upper, "slaves", path.Base(lower)))
}

// otherMajor is the major number of AddNode's nodes.
const otherMajor = 300

// RunUdev starts udev. It has processed the devices that are there; those plugged
// in from now on it processes at Settle.
func (m *Tree) RunUdev() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.udev = true
	m.mkdir(filepath.Join(m.Udev, "data"))
	m.file(filepath.Join(m.Udev, "control"), "")
	for _, r := range m.records {
		m.writeRecord(r)
	}
	m.unheard = nil
}

// Settle makes udev, if it runs, process the kernel's messages.
func (m *Tree) Settle() {
	m.t.Helper()
	m.SettleSome(-1)
}

// SettleSome makes udev process the oldest n messages, or all if n is negative.
func (m *Tree) SettleSome(n int) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n < 0 || n > len(m.unheard) {
		n = len(m.unheard)
	}
	settled := m.unheard[:n]
	m.unheard = m.unheard[n:]
	for _, e := range settled {
		if r, ok := m.records[e.Path]; ok && e.Action != "remove" {
			m.writeRecord(r)
		}
		e.Udev = true
		m.send(e)
	}
}

// Trigger sends a message of the kernel about a device, which udev will process.
func (m *Tree) Trigger(action, key, subsystem string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.event(action, key, subsystem)
}

// Send sends a message, whatever is in the tree.
func (m *Tree) Send(e discover.Uevent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.send(e)
}

// SetAttribute changes an attribute of a device, without a message.
func (m *Tree) SetAttribute(key, name, value string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.file(m.stage, value+"\n") // so that no look sees half of it
	require.NoError(m.t, os.Rename(m.stage, m.sys(path.Join(key, name))))
}

// Record makes udev write its records, as it does before its rules have ended and it
// sends its message.
func (m *Tree) Record() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.unheard {
		if r, ok := m.records[e.Path]; ok {
			m.writeRecord(r)
		}
	}
}

// event sends a message of the kernel.
func (m *Tree) event(action, key, subsystem string) {
	m.seq++
	e := discover.Uevent{Action: action, Path: key, Subsystem: subsystem, Seq: m.seq}
	if m.udev {
		m.unheard = append(m.unheard, e)
	}
	m.send(e)
}

func (m *Tree) send(e discover.Uevent) {
	for s := range m.sources {
		s.Send(e)
	}
}

func (m *Tree) writeRecord(r record) {
	text := "I:12345678\nG:seat\n"
	for k, v := range r.properties {
		text += "E:" + k + "=" + v + "\n"
	}
	m.file(filepath.Join(m.Udev, "data", "c"+r.number), text)
}

// sys returns the file of a path in sysfs. The device that is being plugged in is
// elsewhere until appear.
func (m *Tree) sys(name string) string {
	if rest, ok := strings.CutPrefix(name, m.coming); ok && m.coming != "" {
		return filepath.Join(m.stage, rest)
	}
	return filepath.Join(m.Sys, name)
}

// appear moves the device that is being plugged in to its place in one step, so that
// no look sees half of it.
func (m *Tree) appear() {
	m.t.Helper()
	dir := m.coming
	m.coming = ""
	m.mkdir(path.Dir(m.sys(dir)))
	require.NoError(m.t, os.Rename(m.stage, m.sys(dir)))
}

func (m *Tree) mkdir(dir string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(dir, 0o755))
}

func (m *Tree) file(name, content string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(name, []byte(content), 0o644))
}

// symlink makes a relative link in sysfs, as the kernel does.
func (m *Tree) symlink(target, link string) {
	m.t.Helper()
	rel, err := filepath.Rel(path.Dir(link), target)
	require.NoError(m.t, err)
	require.NoError(m.t, os.Symlink(rel, m.sys(link)))
}

// device makes a directory of sysfs with attributes.
func (m *Tree) device(dir, subsystem string, attributes map[string]string) {
	m.t.Helper()
	m.mkdir(m.sys(dir))
	if subsystem != "" {
		kind := "class"
		if subsystem == "usb" || subsystem == "hid" || subsystem == "pnp" || subsystem == "platform" || subsystem == "bluetooth" {
			kind = "bus"
		}
		m.mkdir(m.sys(path.Join(kind, subsystem)))
		m.symlink(path.Join(kind, subsystem), path.Join(dir, "subsystem"))
	}
	for name, value := range attributes {
		if value != "" {
			m.file(m.sys(path.Join(dir, name)), value)
		}
	}
}

// driver binds a device to a driver.
func (m *Tree) driver(dir, bus, name string) {
	m.t.Helper()
	if name != "" {
		driver := path.Join("bus", bus, "drivers", name)
		m.mkdir(m.sys(driver))
		m.symlink(driver, path.Join(dir, "driver"))
	}
}

// number returns name with the next free number for each #.
func (m *Tree) number(name string) string {
	if !strings.Contains(name, "#") {
		return name
	}
	n := m.next[name]
	m.next[name]++
	return strings.ReplaceAll(name, "#", fmt.Sprint(n))
}

// majors are the major numbers by class: the kernel's, where it has fixed ones.
var majors = map[string]int{"tty": 188, "hidraw": 240, "usbmisc": 180, "usb": 189}

// node makes a member of a class with its device node, which it returns.
func (m *Tree) node(dir, class, name, target string, properties map[string]string) string {
	m.t.Helper()
	minor := m.next["minor of "+class]
	m.next["minor of "+class]++
	number := fmt.Sprintf("%d:%d", majors[class], minor)
	devname := name
	if class == "usbmisc" {
		devname = "usb/" + name
	}
	if class != "usb" {
		m.device(dir, class, nil)
		m.symlink(dir, path.Join("class", class, name))
	}
	m.file(m.sys(path.Join(dir, "uevent")), fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\n", majors[class], minor, devname))
	m.records[dir] = record{number, maps.Clone(properties)}
	if m.udev {
		_ = os.Remove(filepath.Join(m.Udev, "data", "c"+number))
	}
	node := filepath.Join(m.Dev, devname)
	m.mkdir(filepath.Dir(node))
	m.symlink(dir, "dev/char/"+number)
	if target != "" {
		require.NoError(m.t, os.Symlink(target, node))
	} else if m.realNodes {
		require.NoError(m.t, unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(majors[class]), uint32(minor)))))
	} else {
		m.file(node, "")
	}
	return node
}

// rootHub makes the root hub.
func (m *Tree) rootHub() {
	m.device(controller, "usb", map[string]string{
		"idVendor": "1d6b\n", "idProduct": "0002\n",
		"product": "xHCI Host Controller\n", "serial": "0000:00:14.0\n",
	})
	m.symlink(controller, "bus/usb/devices/usb1")
	hub := controller + "/1-0:1.0"
	m.device(hub, "usb", map[string]string{"modalias": "usb:v1D6Bp0002d0601dc09dsc00dp01ic09isc00ip00in00\n"})
	m.symlink(hub, "bus/usb/devices/1-0:1.0")
}
