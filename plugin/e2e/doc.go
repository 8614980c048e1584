// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the plugin where it lives: loaded by an unmodified xfreerdp
// under Xvfb that is connected over TLS to a real RDP server on 127.0.0.1. The
// server's FreeRDP is the one this is built for (3.x, or 2.11 with the build
// tag freerdp2), the clients are every major version installed.
package e2e
