// SPDX-License-Identifier: Apache-2.0

//go:build !freerdp2

package main

const buildTags = ""
