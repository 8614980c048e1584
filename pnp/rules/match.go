// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// maxPattern bounds patterns and names, in bytes.
const maxPattern = 512

type matcher = func(d *discover.Device) bool

// conditionKeys makes the matcher of each key from its pattern.
var conditionKeys = map[string]func(pattern string) (matcher, error){
	"bus": bus,
	"vid": hexadecimal(4, func(d *discover.Device) (uint16, bool) {
		return d.VendorID, d.HasIDs()
	}),
	"pid": hexadecimal(4, func(d *discover.Device) (uint16, bool) {
		return d.ProductID, d.HasIDs()
	}),
	"class": hexadecimal(2, func(d *discover.Device) (uint16, bool) {
		return uint16(d.Class), d.Bus == "usb"
	}),
	"subclass": hexadecimal(2, func(d *discover.Device) (uint16, bool) {
		return uint16(d.SubClass), d.Bus == "usb"
	}),
	"protocol": hexadecimal(2, func(d *discover.Device) (uint16, bool) {
		return uint16(d.Protocol), d.Bus == "usb"
	}),
	"interface": hexadecimal(2, func(d *discover.Device) (uint16, bool) {
		return uint16(d.Interface), d.Interface >= 0
	}),
	"serial":       text(func(d *discover.Device) []string { return []string{d.Serial} }),
	"driver":       text(func(d *discover.Device) []string { return []string{d.Driver} }),
	"manufacturer": text(func(d *discover.Device) []string { return []string{d.Manufacturer} }),
	"product":      text(func(d *discover.Device) []string { return []string{d.Product} }),
	"port":         text(func(d *discover.Device) []string { return []string{d.Port} }),
	"hardware-id": text(func(d *discover.Device) []string {
		return slices.Concat(append([][]string{d.Description.HardwareIDs}, d.Collections...)...)
	}),
	"node": node,
}

// buses are those that devices are usually found on; the kernel has more.
var buses = []string{"usb", "bluetooth", "i2c", "i3c", "pnp", "platform", "virtual", "pci", "spi", "acpi", "serial-base"}

// bus matches any name, but refuses one that differs from a usual one by a
// letter: a rule that is meant to deny must not go astray.
func bus(pattern string) (matcher, error) {
	match, err := text(func(d *discover.Device) []string { return []string{d.Bus} })(pattern)
	for _, b := range buses {
		if err == nil && distance(strings.ToLower(pattern), b) == 1 && !slices.Contains(buses, strings.ToLower(pattern)) {
			return nil, fmt.Errorf("%q is not a bus%s", pattern, didYouMean(pattern, []string{b}))
		}
	}
	return match, err
}

// hexadecimal matches a number of so many digits; "*" matches devices that have
// none as well. A prefix 0x is tolerated.
func hexadecimal(digits int, field func(d *discover.Device) (uint16, bool)) func(string) (matcher, error) {
	return func(pattern string) (matcher, error) {
		if pattern == "*" {
			return func(*discover.Device) bool { return true }, nil
		}
		number := pattern
		if rest, ok := strings.CutPrefix(strings.ToLower(pattern), "0x"); ok {
			number = rest
		}
		want, err := strconv.ParseUint(number, 16, 4*digits)
		if err != nil || len(number) > digits {
			return nil, fmt.Errorf("%q is neither up to %d hexadecimal digits nor *", pattern, digits)
		}
		return func(d *discover.Device) bool {
			have, ok := field(d)
			return ok && uint64(have) == want
		}, nil
	}
}

// text matches strings by a glob, whatever their case. A device that has no
// such string is matched by "*" only.
func text(field func(d *discover.Device) []string) func(string) (matcher, error) {
	return func(pattern string) (matcher, error) {
		if err := checkText(pattern); err != nil {
			return nil, err
		}
		folded := fold(pattern)
		if folded == "" {
			return nil, fmt.Errorf("it is empty")
		}
		return func(d *discover.Device) bool {
			if pattern == "*" {
				return true
			}
			for _, s := range field(d) {
				if s != "" && glob(folded, fold(s)) {
					return true
				}
			}
			return false
		}, nil
	}
}

// fold leaves out what makes no difference: case, and white space as discovery
// leaves it out of what devices say.
func fold(s string) string { return strings.ToLower(sysfs.Printable(s)) }

// node matches the device node by a path or a glob, or that of a symbolic link
// which leads there, as those in /dev/serial/by-id do.
func node(pattern string) (matcher, error) {
	if err := checkText(pattern); err != nil {
		return nil, err
	}
	if pattern != "*" && !filepath.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path such as /dev/ttyUSB0", pattern)
	}
	wild := strings.ContainsAny(pattern, "*?")
	path := filepath.Clean(pattern)
	return func(d *discover.Device) bool {
		switch {
		case pattern == "*":
			return true
		case d.Node == "":
			return false
		case wild && glob(pattern, d.Node), d.Node == path:
			return true
		}
		// Links come and go with their devices, so they are followed anew.
		device, err := filepath.EvalSymlinks(d.Node)
		if err != nil {
			return false
		}
		leads := func(link string) bool {
			target, err := filepath.EvalSymlinks(link)
			return err == nil && target == device
		}
		if wild {
			return anyLink(pattern, leads)
		}
		return leads(path)
	}, nil
}

// maxEntries bounds the directory entries that a pattern is compared with.
const maxEntries = 1 << 14

// anyLink reports whether a symbolic link that the pattern covers meets the
// test. Directories that everybody may write to are left out: what is there says
// nothing about a device, and could be endless.
func anyLink(pattern string, test func(link string) bool) bool {
	// Every path that the pattern covers begins so.
	start := pattern[:strings.IndexAny(pattern, "*?")]
	left := maxEntries
	for dirs := []string{filepath.Dir(start + "x")}; len(dirs) > 0; dirs = dirs[1:] {
		for _, e := range entries(dirs[0], left) {
			left--
			path := filepath.Join(dirs[0], e.Name())
			switch {
			case !strings.HasPrefix(path, start):
			case e.IsDir():
				dirs = append(dirs, path)
			case e.Type()&fs.ModeSymlink != 0 && glob(pattern, path) && test(path):
				return true
			}
		}
	}
	return false
}

// entries returns at most n entries of a directory.
func entries(dir string, n int) []fs.DirEntry {
	if n <= 0 {
		return nil
	}
	// Unlike a pipe's, the opening of a directory does not wait.
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o002 != 0 {
		return nil
	}
	list, _ := f.ReadDir(n) // what was read before an error counts
	return list
}

// checkText refuses what no device says and no log should repeat.
func checkText(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("it is empty")
	case len(s) > maxPattern:
		return fmt.Errorf("it is longer than %d bytes", maxPattern)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isNotText):
		return fmt.Errorf("%q contains characters that are not text", s)
	}
	return nil
}

// isNotText reports whether a terminal could obey the character, or show the text
// around it in another order or on another line.
func isNotText(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// glob reports whether pattern, in which * stands for any characters and ? for
// one, covers all of s. It takes at most len(pattern)*len(s) steps.
func glob(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			// Let the last star take one character more.
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
