// SPDX-License-Identifier: Apache-2.0

//go:build ppc || ppc64 || ppc64le

package cuse

// termiosSize is the size of struct termios, which has speeds as numbers on this
// architecture.
const termiosSize = termios2Size

var moreIoctls map[uint32]ioctl
