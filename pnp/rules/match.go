package rules

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"freerdp-pnpdr/pnp/discover"
)

// maxPattern bounds patterns and names, in bytes.
const maxPattern = 512

type matcher = func(d *discover.Device) bool

// conditionKeys makes the matcher of each key from its pattern.
var conditionKeys = map[string]func(pattern string) (matcher, error){
	"bus": bus,
	"vid": hexadecimal(4, func(d *discover.Device) (uint16, bool) {
		return d.VendorID, hasIDs(d)
	}),
	"pid": hexadecimal(4, func(d *discover.Device) (uint16, bool) {
		return d.ProductID, hasIDs(d)
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
	"hardware-id":  text(func(d *discover.Device) []string { return d.Description.HardwareIDs }),
	"node":         node,
}

// buses are those that devices are usually found on; the kernel has more.
var buses = []string{"usb", "bluetooth", "i2c", "i3c", "pnp", "platform", "virtual", "pci", "spi", "acpi", "serial-base"}

// hasIDs reports whether the device's bus gives it a vendor and a product.
func hasIDs(d *discover.Device) bool { return d.VendorID != 0 || d.ProductID != 0 }

// bus matches any name, but refuses one that differs from a usual one by a
// letter: a rule that is meant to deny must not go astray.
func bus(pattern string) (matcher, error) {
	match, err := text(func(d *discover.Device) []string { return []string{d.Bus} })(pattern)
	for _, b := range buses {
		if err == nil && distance(strings.ToLower(pattern), b) == 1 && !slices.Contains(buses, strings.ToLower(pattern)) {
			return nil, fmt.Errorf("%q is no bus%s", pattern, didYouMean(pattern, []string{b}))
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
		folded := strings.ToLower(pattern)
		return func(d *discover.Device) bool {
			if pattern == "*" {
				return true
			}
			for _, s := range field(d) {
				if s != "" && glob(folded, strings.ToLower(s)) {
					return true
				}
			}
			return false
		}, nil
	}
}

// node matches the device node: by a glob, or by a path, which may lead there
// through symbolic links as those in /dev/serial/by-id do.
func node(pattern string) (matcher, error) {
	if err := checkText(pattern); err != nil {
		return nil, err
	}
	if pattern != "*" && !filepath.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is no absolute path, as /dev/ttyUSB0 is", pattern)
	}
	wild := strings.ContainsAny(pattern, "*?")
	path := filepath.Clean(pattern)
	return func(d *discover.Device) bool {
		switch {
		case wild:
			return pattern == "*" || d.Node != "" && glob(pattern, d.Node)
		case d.Node == "":
			return false
		case d.Node == path:
			return true
		}
		// Links come and go with their devices, so they are followed anew.
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return false
		}
		device, err := filepath.EvalSymlinks(d.Node)
		return err == nil && target == device
	}, nil
}

// checkText refuses what no device says and no log should repeat.
func checkText(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("it is empty")
	case len(s) > maxPattern:
		return fmt.Errorf("it is longer than %d bytes", maxPattern)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F }):
		return fmt.Errorf("%q contains what is no text", s)
	}
	return nil
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
