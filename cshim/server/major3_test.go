// SPDX-License-Identifier: Apache-2.0

//go:build !freerdp2

package server_test

const major = "3"
