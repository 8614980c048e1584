// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"freerdp-pnpdr/channels/insession"
)

// socketPath returns where the session helper listens. xrdp tells its sessions the
// folder: one for all users before 0.10, one for each user since.
func socketPath(env func(string) string) (string, error) {
	dir, number, err := display(env)
	return filepath.Join(dir, "xrdpapi_"+number), err
}

// display returns the folder of a session's sockets, and the number of its display.
func display(env func(string) string) (dir, number string, err error) {
	dir, display := env("XRDP_SOCKET_PATH"), env("DISPLAY")
	if dir == "" || env("XRDP_SESSION") == "" {
		return "", "", fmt.Errorf("XRDP_SESSION or XRDP_SOCKET_PATH is not set: %w", insession.ErrNotInSession)
	}
	// A display with a host is somebody else's, that of ssh -X for instance.
	rest, ok := strings.CutPrefix(display, ":")
	number, _, _ = strings.Cut(rest, ".")
	if _, err := strconv.ParseUint(number, 10, 31); !ok || err != nil {
		return "", "", fmt.Errorf("DISPLAY %q is not one of xrdp: %w", display, insession.ErrNotInSession)
	}
	return dir, number, nil
}
