// SPDX-License-Identifier: Apache-2.0

// Package cuse makes a character device of a redirected serial port, which answers
// whatever a serial program asks, modem lines too: a device of the kernel's whose driver
// is this process (CUSE), behind the link "tty" in the device's folder. It takes the right
// to open /dev/cuse, and that to open the node that the kernel then makes, /dev/pnpdr-*.
// Package tty is for those who do not have these rights.
//
// The port at the client is open while a program has the terminal open. Opening it raises
// DTR and RTS, and closing it drops them. An open fails with the error that a local port
// would give. If the device goes, programs read the end of the file, and everything else
// fails with EIO.
//
// # Settings
//
// tcsetattr returns when the client has the settings. What it refuses stays as it was, as
// with drivers of the kernel. At first the terminal is raw (8N1, 9600 bit/s, no echo). It
// keeps its settings from one open to the next.
//
// # Data
//
// Input comes by one request that waits at the client. The terminal holds at most
// inputLimit of it; the rest stays at the client, whose flow control holds up the device.
// At most outputLimit of output waits to be sent. Reads follow VMIN, VTIME and canonical
// mode. tcdrain waits until the client has sent everything. After the last close, all
// that was written is sent; if the client takes nothing for closingLimit, the rest is
// dropped, and meanwhile the next open waits, as with a driver of the kernel.
//
// # Other than a terminal of the kernel's
//
// It is nobody's controlling terminal: there are no signals and no job control. A signal
// interrupts a call with EINTR, even with SA_RESTART. A carrier that drops is not a hangup,
// whatever CLOCAL says. TIOCMIWAIT and TIOCGICOUNT count changes of the lines since the
// first of them was asked.
//
// This process must not open the terminal itself: epoll_wait(2), in which it waits for the
// kernel's requests, would ask it about the terminal.
package cuse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
)

// ErrUnavailable is part of the error of Present if this machine or this user has no
// CUSE.
var ErrUnavailable = errors.New("no access to /dev/cuse")

const (
	linkName = "tty"
	// maxNames is how many terminals a user may have.
	maxNames = 1024
	// udevLimit is how long to wait until udev has set the rights of a new node.
	udevLimit = 3 * time.Second
)

// terminal is the presentation of one port.
type terminal struct {
	v    *driver
	conn *conn
	link string
	d    *present.Device
}

// Present makes the terminal of d. It does not ask the client.
func Present(ctx context.Context, d *present.Device) (present.Presentation, error) {
	v := newDriver(d, uint32(os.Getuid()))
	c, node, err := register(v, d)
	if err != nil {
		return nil, err
	}
	t := &terminal{v: v, conn: c, link: filepath.Join(d.Dir, linkName), d: d}
	if err = awaitAccess(ctx, node); err == nil {
		err = os.Symlink(node, t.link)
	}
	if err != nil {
		v.close()
		c.Close()
		return nil, err
	}
	return t, nil
}

// Close implements present.Presentation.
func (t *terminal) Close() {
	if err := os.Remove(t.link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.d.Log.Warn("removing the link of a terminal failed", "err", err)
	}
	t.v.close()
	t.conn.Close()
}

// register makes the node of v, /dev/pnpdr-UID-N.
func register(v *driver, d *present.Device) (c *conn, node string, err error) {
	for n := range maxNames {
		name := fmt.Sprintf("pnpdr-%d-%d", v.uid, n)
		node = "/dev/" + name
		if _, err := os.Lstat(node); err == nil {
			continue
		}
		f, err := os.OpenFile("/dev/cuse", os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		c, err = connect(f, name, v, d.Log)
		switch {
		case errors.Is(err, errTaken): // another process was faster
			f.Close()
			continue
		case err != nil:
			f.Close()
			return nil, "", fmt.Errorf("making %s: %w", node, err)
		}
		v.mu.Lock()
		v.notify = c.notify
		v.mu.Unlock()
		if _, err := os.Lstat(node); err != nil {
			c.Close()
			return nil, "", fmt.Errorf("CUSE made no node, as in a container: %w", err)
		}
		return c, node, nil
	}
	return nil, "", errors.New("making a node with CUSE: no name is free")
}

// awaitAccess waits until this process may open the node.
func awaitAccess(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, udevLimit)
	defer cancel()
	for {
		err := unix.Access(node, unix.R_OK|unix.W_OK)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("opening %s: %w (build/udev/71-pnpdr-cuse.rules has a rule that gives access)", node, err)
		}
	}
}
