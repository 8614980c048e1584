// SPDX-License-Identifier: Apache-2.0

//go:build ppc || ppc64 || ppc64le

package serial

import "golang.org/x/sys/unix"

// On this architecture the one struct termios has speeds as numbers.
const (
	getTermiosRequest = unix.TCGETS
	setTermiosRequest = unix.TCSETS
)
