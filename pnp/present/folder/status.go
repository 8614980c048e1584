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

// Report is what a program that serves devices tells.
type Report struct {
	PID    int    `json:"pid"`
	Folder string `json:"folder"`
	// Session is Config.Session.
	Session string `json:"session,omitempty"`
	// Connected is since when a client is connected; nil while none is, and then
	// Problem says why.
	Connected *time.Time `json:"connected"`
	Problem   string     `json:"problem,omitempty"`
	Devices   []Status   `json:"devices"`
}

// Publish tells Query, until f is closed, what connection returns: since when a client is
// connected, or else why none is. It is called once at most.
func (f *Folder) Publish(connection func() (since time.Time, problem string)) error {
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
		f.publish(ln, connection)
		_ = os.Remove(path)
	}()
	return nil
}

// publish answers one after the other.
func (f *Folder) publish(ln *net.UnixListener, connection func() (time.Time, string)) {
	for {
		conn, err := ln.AcceptUnix()
		if f.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err == nil {
			err = f.tell(conn, f.report(connection()))
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

func (f *Folder) report(since time.Time, problem string) Report {
	r := Report{PID: os.Getpid(), Folder: f.Dir(), Session: f.cfg.Session, Problem: problem, Devices: f.Devices()}
	if !since.IsZero() {
		r.Connected = &since
	}
	return r
}

func (f *Folder) tell(conn *net.UnixConn, r Report) error {
	defer conn.Close()
	stop := context.AfterFunc(f.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := checkPeer(conn); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(statusPatience)); err != nil {
		return err
	}
	return json.NewEncoder(conn).Encode(r)
}

// ErrNotServed is returned by Query if no program serves devices in the folder.
var ErrNotServed = errors.New("no program serves devices there")

// Query asks the program that has claimed dir for its report.
func Query(dir string) (Report, error) {
	r, err := query(filepath.Join(dir, statusName))
	if err != nil {
		return Report{}, fmt.Errorf("asking for the status of %s: %w", dir, err)
	}
	return r, nil
}

func query(path string) (r Report, err error) {
	conn, err := connect("unix", path)
	if err != nil {
		return r, fmt.Errorf("%w (%w)", ErrNotServed, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * statusPatience)); err != nil {
		return r, err
	}
	return r, json.NewDecoder(io.LimitReader(conn, maxStatus)).Decode(&r)
}
