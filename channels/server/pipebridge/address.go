// SPDX-License-Identifier: Apache-2.0

package pipebridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Address says where local programs connect to.
type Address struct {
	network string // "unix" or "tcp"
	address string
}

// ParseAddress reads unix:PATH or tcp:ADDRESS:PORT. The address is one of the loopback,
// since whoever can connect can use the pipe; port 0 is any that is free.
func ParseAddress(text string) (Address, error) {
	network, address, _ := strings.Cut(text, ":")
	switch {
	case network == "unix" && address != "":
	case network == "tcp":
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return Address{}, fmt.Errorf("%q: %w", text, err)
		}
		if !ap.Addr().IsLoopback() {
			return Address{}, fmt.Errorf("%q is not on the loopback: use an address such as 127.0.0.1", text)
		}
	default:
		return Address{}, fmt.Errorf("%q is neither unix:PATH nor tcp:127.0.0.1:PORT", text)
	}
	return Address{network, address}, nil
}

// String returns what ParseAddress reads.
func (a Address) String() string { return a.network + ":" + a.address }

// listen begins to listen. cleanup is called once the listener is closed.
func (a Address) listen() (l net.Listener, cleanup func(), err error) {
	if a.network == "unix" {
		l, cleanup, err = listenUnix(a.address)
	} else {
		l, err = net.Listen(a.network, a.address)
		cleanup = func() {}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listening at %s: %w", a, err)
	}
	return l, cleanup, nil
}

// listenUnix makes a socket that only this user may connect to, at no time others. It
// takes the place of a socket that nobody listens on any more.
func listenUnix(path string) (net.Listener, func(), error) {
	if err := unused(path); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".pipe-*") // for this user alone
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	private := filepath.Join(dir, "s")
	opened, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer opened.Close()
	// The name of a socket is short, and the folder makes the path longer.
	name := fmt.Sprintf("/proc/self/fd/%d/s", opened.Fd())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: name})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(private, 0o600)
	var ours os.FileInfo
	if err == nil {
		ours, err = os.Lstat(private)
	}
	if err == nil {
		err = os.Rename(private, path)
	}
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return named{l, path}, func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(ours, now) {
			_ = os.Remove(path)
		}
	}, nil
}

// unused returns an error if something is at path other than a socket that nobody
// listens on.
func unused(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return os.ErrExist
	}
	// The name of a socket is short.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	c, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	switch {
	case err == nil:
		c.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return err
}

// named is a listener whose socket was renamed.
type named struct {
	*net.UnixListener
	path string
}

func (l named) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: l.path} }

// pause waits before something is tried again that failed because too many have it. It
// returns false if ctx ends.
func pause(ctx context.Context) bool {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
