// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/choose"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/kinds"
)

// mounts is the folder of --mount. It has a folder for each session.
type mounts struct {
	lock *folder.Lock
	cfg  folder.Config

	mu    sync.Mutex
	taken map[int]bool
}

// choices returns what --as says.
func (o *options) choices() (*choose.Choices, error) {
	choices := new(choose.Choices)
	for _, wish := range o.as {
		if err := choices.As(wish, kinds.All()); err != nil {
			return nil, fmt.Errorf("--as: %w", err)
		}
	}
	return choices, nil
}

// openMounts claims the folder of --mount.
func openMounts(o *options, log *slog.Logger) (*mounts, error) {
	choices, err := o.choices()
	if err != nil {
		return nil, err
	}
	lock, err := folder.Claim(o.mount)
	if err != nil {
		return nil, err
	}
	return &mounts{
		lock:  lock,
		cfg:   folder.Config{Table: kinds.All(), As: choices.Kind, Options: present.Options{Input: o.input}, Log: log},
		taken: make(map[int]bool),
	}, nil
}

// session makes the folder of a session, whose name is the first number that is free.
func (m *mounts) session(who string) (f *folder.Folder, remove func(), err error) {
	number := m.take()
	cfg := m.cfg
	cfg.Log = cfg.Log.With("peer", who)
	f, err = folder.New(filepath.Join(m.lock.Dir(), strconv.Itoa(number)), cfg)
	if err == nil {
		since := time.Now()
		if err = f.Publish(func() (time.Time, string) { return since, "" }); err != nil {
			f.Remove()
		}
	}
	if err != nil {
		m.free(number)
		return nil, nil, fmt.Errorf("making the folder of a session: %w", err)
	}
	return f, func() {
		f.Remove()
		m.free(number)
	}, nil
}

func (m *mounts) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := 1; ; n++ {
		if !m.taken[n] {
			m.taken[n] = true
			return n
		}
	}
}

func (m *mounts) free(number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taken, number)
}

// close is called after the last session.
func (m *mounts) close() { m.lock.Release() }
