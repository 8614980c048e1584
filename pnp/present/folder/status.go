// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// statusName is the socket that tells what goes on in a folder.
const statusName = ".status"

const (
	// statusPatience is how long whoever asks for the status may take to read it.
	statusPatience = 5 * time.Second
	// maxStatus bounds what Query reads.
	maxStatus = 16 << 20
)

// Publish tells Query what status returns, as JSON, until f is closed. It is called once
// at most.
func (f *Folder) Publish(status func() any) error {
	path := filepath.Join(f.Dir(), statusName)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	ln, err := listen("unix", path)
	if err != nil {
		return fmt.Errorf("publishing the status: %w", err)
	}
	f.active.Add(1)
	go func() {
		defer f.active.Done()
		stop := context.AfterFunc(f.ctx, func() { _ = ln.Close() })
		defer stop()
		f.publish(ln, status)
		_ = os.Remove(path)
	}()
	return nil
}

// publish answers one after the other.
func (f *Folder) publish(ln *net.UnixListener, status func() any) {
	for {
		conn, err := ln.AcceptUnix()
		if f.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err == nil {
			err = f.tell(conn, status)
		}
		if err == nil {
			continue
		}
		f.cfg.Log.Debug("status was not told", "err", err)
		select {
		case <-time.After(100 * time.Millisecond): // too many files may be open
		case <-f.ctx.Done():
		}
	}
}

func (f *Folder) tell(conn *net.UnixConn, status func() any) error {
	defer conn.Close()
	stop := context.AfterFunc(f.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := checkPeer(conn); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(statusPatience)); err != nil {
		return err
	}
	return json.NewEncoder(conn).Encode(status())
}

// ErrNotServed is returned by Query if no program serves devices in the folder.
var ErrNotServed = errors.New("no program serves devices there")

// Query asks the program that has claimed dir what it publishes, and stores it in v, as
// package json does.
func Query(dir string, v any) error {
	err := query(filepath.Join(dir, statusName), v)
	if err != nil {
		return fmt.Errorf("asking for the status of %s: %w", dir, err)
	}
	return nil
}

func query(path string, v any) error {
	conn, err := connect("unix", path)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrNotServed, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * statusPatience)); err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(conn, maxStatus)).Decode(v)
}
