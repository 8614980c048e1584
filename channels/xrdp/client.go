// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sockets lists the Unix sockets of the network namespace, see proc_net(5).
const sockets = "/proc/net/unix"

// Client implements insession.Server. While a client is connected, its process of xrdp is
// connected to chansrv, by a socket that no other client has.
func (Server) Client(env func(string) string) (string, error) {
	dir, number, err := display(env)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "xrdp_chansrv_socket_"+number)
	f, err := os.Open(sockets)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var inodes []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		const (
			state     = 5
			inode     = 6
			path      = 7
			connected = "03"
		)
		fields := strings.Fields(lines.Text())
		if len(fields) > path && fields[state] == connected && fields[path] == name {
			inodes = append(inodes, fields[inode])
		}
	}
	slices.Sort(inodes)
	return strings.Join(inodes, " "), lines.Err()
}
