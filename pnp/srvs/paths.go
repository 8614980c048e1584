// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"slices"
	"strings"
)

// Path types (2.2.2.9) that the algorithm of 3.1.1.9 yields.
const (
	pathUNC          = 4096
	pathUNCWild      = 4097
	pathUNCComputer  = 4144
	pathUNCAny       = 4145
	pathRelative     = 8192
	pathRelativeWild = 8193
	pathAbsolute     = 8194
	pathAbsoluteWild = 8195
	pathDrive        = 8198
	pathDriveWild    = 8199
	deviceDisk       = 16384
	deviceLPT        = 16400
	deviceCOM        = 16416
)

// pathTypes are all path types of 2.2.2.9.
var pathTypes = []uint32{pathUNCComputer, pathUNCAny, pathUNC, pathUNCWild, 6400, 6656, 6144, 6912, 7680,
	pathAbsolute, pathDrive, pathRelative, 8196, pathAbsoluteWild, pathDriveWild, pathRelativeWild, 8197,
	10498, 10754, 10242, 11010, 11266, 11522, 11778, 43266, 43522, 43010, 43778, 44034, 44290, 44546,
	deviceDisk, deviceLPT, deviceCOM, 16448, 16464}

const (
	maxPath    = 260 // characters of a path
	maxOldPath = 128 // of a path by the rules of DOS
)

func isLetter(u uint16) bool {
	u |= 0x20
	return u >= 'a' && u <= 'z'
}

// isDevice tells whether s is name, a number and perhaps a colon, such as LPT1:.
func isDevice(s text, name string) bool {
	if !hasPrefix(s, name) {
		return false
	}
	s = s[len(name):]
	if n := len(s); n > 0 && s[n-1] == ':' {
		s = s[:n-1]
	}
	return len(s) > 0 && !slices.ContainsFunc(s, func(u uint16) bool { return u < '0' || u > '9' })
}

// pathType finds the type of a path as NetprPathType does, by the rules of DOS if
// old. It returns false for a path that is not valid (3.1.1.9, 3.1.4.29).
func pathType(s text, old bool) (uint32, bool) {
	if len(s) == 0 || len(s) > maxPath || containsAny(s, `<>"|`) {
		return 0, false
	}
	kind, rest := classify(s)
	if old && kind != 0 && (len(s) > maxOldPath || !validOld(rest)) {
		return 0, false
	}
	return kind, kind != 0
}

// classify returns the type of a path, or 0, and its components behind a drive, a
// computer or a device.
func classify(s text) (kind uint32, rest text) {
	wild := func(s text, plain, wild uint32) (uint32, text) {
		if containsAny(s, "*?") {
			return wild, s
		}
		return plain, s
	}
	switch {
	case hasPrefix(s, `\\.\`):
		return wild(s[4:], pathDrive, pathDriveWild)
	case hasPrefix(s, `\\.`):
		return 0, nil
	case hasPrefix(s, `\\*`):
		if len(s) > 3 {
			return 0, nil
		}
		return pathUNCAny, nil
	case hasPrefix(s, `\\`):
		name := s[2:]
		end := slices.Index(name, backslash)
		switch {
		case end < 0 && len(name) > 0:
			return pathUNCComputer, nil
		case end > 0 && end+1 < len(name):
			return wild(name[end+1:], pathUNC, pathUNCWild)
		}
		return 0, nil
	case hasPrefix(s, `\DEV\`) && isDevice(s[5:], "LPT"):
		return deviceLPT, nil
	case hasPrefix(s, `\DEV\`) && isDevice(s[5:], "COM"):
		return deviceCOM, nil
	case equalFold(s, str(`\DEV`)), hasPrefix(s, `\DEV\`):
		return 0, nil
	case s[0] == backslash:
		return wild(s[1:], pathAbsolute, pathAbsoluteWild)
	case len(s) == 2 && isLetter(s[0]) && s[1] == ':':
		return deviceDisk, nil
	case len(s) > 2 && isLetter(s[0]) && s[1] == ':':
		return wild(s[2:], pathDrive, pathDriveWild)
	case isDevice(s, "LPT"):
		return deviceLPT, nil
	case isDevice(s, "COM"):
		return deviceCOM, nil
	}
	return wild(s, pathRelative, pathRelativeWild)
}

// components splits at backslashes and slashes, and drops what is empty.
func components(s text) []text {
	var list []text
	for len(s) > 0 {
		end := slices.IndexFunc(s, func(u uint16) bool { return u == backslash || u == '/' })
		if end < 0 {
			return append(list, s)
		}
		if end > 0 {
			list = append(list, s[:end])
		}
		s = s[end+1:]
	}
	return list
}

func isDots(s text) bool { return slices.Equal(s, str(".")) || slices.Equal(s, str("..")) }

// validOld tells whether each component has up to 8 characters, and up to 3 behind
// one dot.
func validOld(rest text) bool {
	for _, component := range components(rest) {
		base, extension, _ := strings.Cut(goString(component), ".")
		if isDots(component) {
			continue
		}
		if n := len(str(base)); n == 0 || n > 8 || len(str(extension)) > 3 || strings.Contains(extension, ".") {
			return false
		}
	}
	return true
}

// canonicalPath returns the canonical form of a path and its type: backslashes, one
// by one, no . and .. components, device names in upper case and without a colon.
func canonicalPath(s text, old bool) (text, uint32, bool) {
	s = slices.Clone(s)
	for i, u := range s {
		if u == '/' {
			s[i] = backslash
		}
	}
	var root, rest text
	if len(s) > 0 {
		kind, _ := classify(s)
		switch {
		case kind == deviceLPT || kind == deviceCOM:
			root = upperText(s)
			if n := len(root); root[n-1] == ':' {
				root = root[:n-1]
			}
		case kind == deviceDisk:
			root = upperText(s)
		default:
			root, rest = splitRoot(s)
		}
	}
	var kept []text
	for _, component := range components(rest) {
		switch {
		case slices.Equal(component, str(".")):
		case !slices.Equal(component, str("..")):
			kept = append(kept, component)
		case len(kept) == 0:
			return nil, 0, false
		default:
			kept = kept[:len(kept)-1]
		}
	}
	path := slices.Clone(root)
	for i, component := range kept {
		if i > 0 || isUNCRoot(root) {
			path = append(path, backslash)
		}
		path = append(path, component...)
	}
	kind, ok := pathType(path, old)
	return path, kind, ok
}

// splitRoot cuts off what .. does not remove: \\name, \\.\, a drive with or without
// its backslash, or a backslash.
func splitRoot(s text) (root, rest text) {
	n := 0
	switch {
	case hasPrefix(s, `\\.\`):
		n = 4
	case hasPrefix(s, `\\`):
		if n = slices.Index(s[2:], backslash); n < 0 {
			return s, nil
		}
		n += 2
	case s[0] == backslash:
		n = 1
	case len(s) > 1 && isLetter(s[0]) && s[1] == ':':
		if n = 2; len(s) > 2 && s[2] == backslash {
			n = 3
		}
	}
	return s[:n], s[n:]
}

// isUNCRoot tells whether root is \\name.
func isUNCRoot(root text) bool {
	return hasPrefix(root, `\\`) && root[len(root)-1] != backslash
}
