// SPDX-License-Identifier: Apache-2.0

// Package xrdptest tests channels/xrdp with xrdp as distributions ship it and an
// unmodified xfreerdp that has loaded the plugin. Everything runs in namespaces of
// its own, on a copy-on-write view of the machine: no user, service, port or file is
// left behind. That needs root.
//
// xrdp, xorgxrdp and Xorg must be installed, or PNPDR_XRDP_ROOT names a folder in
// which their packages were unpacked (dpkg -x).
package xrdptest
