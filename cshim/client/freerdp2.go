//go:build freerdp2

package client

// #cgo pkg-config: freerdp2
import "C"
