//go:build freerdp2

package bench

const buildTags = "freerdp2"
