// SPDX-License-Identifier: Apache-2.0

//go:build ppc || ppc64 || ppc64le

package devnode

import "golang.org/x/sys/unix"

// On this architecture the one struct termios has speeds as numbers.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
