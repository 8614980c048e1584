// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"io/fs"
	"strings"
)

// Nodes is a set of types of nodes.
type Nodes uint8

// The types of nodes that a kind can serve.
const (
	CharDevice Nodes = 1 << iota
	BlockDevice
	RegularFile
	Socket // a Unix socket
)

// TypeOf returns the type of a node; 0 if no kind can serve it.
func TypeOf(mode fs.FileMode) Nodes {
	switch {
	case mode.IsRegular():
		return RegularFile
	case mode&fs.ModeCharDevice != 0:
		return CharDevice
	case mode&fs.ModeDevice != 0:
		return BlockDevice
	case mode&fs.ModeSocket != 0:
		return Socket
	}
	return 0
}

// String names the types, for example "a block device or a regular file".
func (n Nodes) String() string {
	var names []string
	for i, name := range []string{"a character device", "a block device", "a regular file", "a Unix socket"} {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}
