//go:build freerdp2

package main

const buildTags = "freerdp2"
