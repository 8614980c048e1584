//go:build freerdp2

package server_test

const major = "2"
