// SPDX-License-Identifier: Apache-2.0

//go:build !freerdp2

package client

// #cgo pkg-config: freerdp3
import "C"
