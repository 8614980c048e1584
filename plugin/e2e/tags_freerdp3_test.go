// SPDX-License-Identifier: Apache-2.0

//go:build !freerdp2

package e2e

const (
	buildTags = ""
	headers   = "freerdp3"
)
