// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSocketPath is how long the path of a socket may be, see unix(7).
const maxSocketPath = 107

// listen makes a socket that only the user can connect to. network is "unix" or
// "unixpacket".
func listen(network, path string) (*net.UnixListener, error) {
	addr, done, err := address(network, path)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.ListenUnix(network, addr)
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // by a name that may be another one's by then
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close(), os.Remove(path))
	}
	return ln, nil
}

// connect connects to such a socket.
func connect(network, path string) (*net.UnixConn, error) {
	addr, done, err := address(network, path)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.DialUnix(network, nil, addr)
}

// address returns the address of a socket until done is called. A path that is too long
// for a socket leads through the folder's descriptor.
func address(network, path string) (addr *net.UnixAddr, done func(), err error) {
	if len(path) <= maxSocketPath {
		return &net.UnixAddr{Name: path, Net: network}, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	path = "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	return &net.UnixAddr{Name: path, Net: network}, func() { _ = dir.Close() }, nil
}

// checkPeer refuses other users, who may have got hold of the folder by a descriptor.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not connect", peer.Uid)
	}
	return nil
}
