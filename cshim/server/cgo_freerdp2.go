// SPDX-License-Identifier: Apache-2.0

//go:build freerdp2

package server

// #cgo pkg-config: freerdp2 winpr2
import "C"
