//go:build freerdp2

package e2e

const buildTags = "freerdp2"
