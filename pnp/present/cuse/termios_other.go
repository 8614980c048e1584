// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import "golang.org/x/sys/unix"

// termiosSize is the size of struct termios, which lacks the two speeds at the end of
// struct termios2.
const termiosSize = termios2Size - 8

var moreIoctls = map[uint32]ioctl{
	unix.TCGETS2:  {out: termios2Size, do: getTermios(termios2Size)},
	unix.TCSETS2:  {in: termios2Size, do: setTermios(false, false)},
	unix.TCSETSW2: {in: termios2Size, do: setTermios(true, false)},
	unix.TCSETSF2: {in: termios2Size, do: setTermios(true, true)},
}
