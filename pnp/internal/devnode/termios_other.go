// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package devnode

import "golang.org/x/sys/unix"

// The requests for settings with speeds as numbers (struct termios2).
const (
	getTermios = unix.TCGETS2
	setTermios = unix.TCSETS2
)
