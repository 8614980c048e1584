// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the plugin in its real place: loaded by an unmodified xfreerdp
// under Xvfb that is connected over TLS to a real RDP server on 127.0.0.1. The
// server uses the FreeRDP that this is built for (3.x, or 2.11 with the build tag
// freerdp2), and the clients are of every major version that is installed.
package e2e
