// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// Numbers of nodes that lead to a terminal with a number of its own (devices.txt).
var (
	devTTY     = sysfs.Number{Kind: "char", Major: 5, Minor: 0} // the process's controlling terminal
	devConsole = sysfs.Number{Kind: "char", Major: 5, Minor: 1} // the system console
	devTTY0    = sysfs.Number{Kind: "char", Major: 4, Minor: 0} // the virtual terminal in front
)

// atAlias is atNumber for a node that gives access to other devices. It returns the
// node itself, which rules may name, and those devices. For any other node, is is
// false.
func (s *scan) atAlias(dir, real string, n sysfs.Number) (devices []*Device, is bool, err error) {
	self := virtual(dir, real)
	switch n {
	case devTTY, devConsole, devTTY0:
		devices, err = s.terminal(n)
	default:
		var dirs []string
		if dirs, is, err = s.gathered(dir); !is {
			return nil, false, nil
		}
		for _, below := range dirs {
			var above []*Device
			if err == nil {
				above, err = s.above(below, s.nodeOf(below, real))
			}
			devices = append(devices, above...)
		}
	}
	if err != nil {
		return nil, true, err
	}
	return append([]*Device{self}, devices...), true, nil
}

// nodeOf returns the path of a device's own node, or other if it has none.
func (s *scan) nodeOf(dir, other string) string {
	return cmp.Or(s.nodePath(s.fs.Uevent(dir)), other)
}

// terminal returns the terminal behind an alias.
func (s *scan) terminal(n sysfs.Number) ([]*Device, error) {
	to, err := s.behindTerminal(n)
	if err != nil {
		return nil, err
	}
	dir, err := s.fs.ByNumber(to)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		// A pseudo terminal's first major number has room for all of them.
		return s.atNumber(filepath.Join(s.cfg.DevRoot, "pts", fmt.Sprint(to.Minor)), to)
	}
	return s.atNumber(s.nodeOf(dir, ""), to)
}

// behindTerminal returns the number of the terminal behind an alias. The console can
// be the virtual terminal in front; nothing leads back to the console.
func (s *scan) behindTerminal(n sysfs.Number) (sysfs.Number, error) {
	if n == devTTY {
		return controllingTerminal()
	}
	alias := "tty0"
	if n == devConsole {
		alias = "console"
	}
	// The kernel lists the consoles that are in use. The last is /dev/console.
	active := strings.Fields(s.fs.Text("class/tty", alias, "active"))
	if len(active) == 0 {
		return sysfs.Number{}, fmt.Errorf("sysfs does not say which terminal %s is", alias)
	}
	name := active[len(active)-1]
	var major, minor uint32
	if _, err := fmt.Sscanf(s.fs.Text("class/tty", path.Base(name), "dev"), "%d:%d", &major, &minor); err != nil {
		return sysfs.Number{}, fmt.Errorf("sysfs does not say which device terminal %s is", name)
	}
	to := sysfs.Number{Kind: "char", Major: major, Minor: minor}
	if to == devTTY0 && n == devConsole {
		return s.behindTerminal(to)
	}
	return to, nil
}

// controllingTerminal returns the number of this process's controlling terminal,
// which /dev/tty leads to: tty_nr in proc(5).
func controllingTerminal() (sysfs.Number, error) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return sysfs.Number{}, err
	}
	// The second field, a name in parentheses, may have anything in it.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 5 {
		return sysfs.Number{}, errors.New("/proc/self/stat is malformed")
	}
	tty, err := strconv.ParseInt(fields[4], 10, 32)
	switch {
	case err != nil:
		return sysfs.Number{}, err
	case tty == 0:
		return sysfs.Number{}, fmt.Errorf("this process has no terminal: %w", ErrNoDevice)
	}
	nr := uint32(tty)
	return sysfs.Number{Kind: "char", Major: nr >> 8 & 0xfff, Minor: nr&0xff | nr>>12&0xfff00}, nil
}

// gathered returns the devices whose data a device passes on. is is false if it does
// not pass on that of others.
func (s *scan) gathered(dir string) (dirs []string, is bool, err error) {
	name, found := strings.CutPrefix(dir, "devices/virtual/")
	if !found {
		return nil, false, nil
	}
	switch bus, isMonitor := strings.CutPrefix(name, "usbmon/usbmon"); {
	case name == "input/mice", name == "misc/psaux":
		dirs, err = s.members("class/input", "mouse")
	case name == "sound/seq", name == "sound/sequencer", name == "sound/sequencer2":
		dirs, err = s.members("class/sound", "card")
	case isMonitor && bus == "0":
		dirs, err = s.members("bus/usb/devices", "")
	case isMonitor:
		dirs, err = s.members("bus/usb/devices", bus+"-")
	case name == "mem/mem", name == "mem/kmem", name == "mem/port":
		err = errors.New("it gives access to every device")
	default:
		return nil, false, nil
	}
	return dirs, true, err
}

// members returns the directories of those in a class or on a bus whose name begins
// with prefix.
func (s *scan) members(of, prefix string) (dirs []string, err error) {
	for _, name := range s.fs.List(of) {
		if !strings.HasPrefix(name, prefix) || isInterface(name) {
			continue
		}
		dir, ok := s.fs.Resolve(path.Join(of, name))
		if !ok {
			return nil, fmt.Errorf("%s is going away", name)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}
