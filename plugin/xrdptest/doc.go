// SPDX-License-Identifier: Apache-2.0

// Package xrdptest tests the server's side in sessions of xrdp as distributions ship
// it, with an unmodified xfreerdp that has loaded the plugin. Everything runs in
// namespaces of its own: no user, service, port or file is left behind. That needs
// root.
//
// PNPDR_XRDP_ROOT names the folder with the unpacked packages of one release of Debian,
// which scripts/xrdp fetches (plugin/internal/xrdpserver). The clients are those of this
// machine.
package xrdptest
