// SPDX-License-Identifier: Apache-2.0

package client

import (
	"slices"
	"sync"
)

// workers runs device calls that may block, at most max at a time; further ones
// wait in order.
type workers struct {
	max int

	mu      sync.Mutex
	running int
	waiting []task
	idle    sync.WaitGroup
}

// task is a call on behalf of a channel.
type task struct {
	owner *ioChannel
	f     func()
}

func (w *workers) run(owner *ioChannel, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == w.max {
		w.waiting = append(w.waiting, task{owner, f})
		return
	}
	w.running++
	w.idle.Add(1)
	go w.work(f)
}

func (w *workers) work(f func()) {
	defer w.idle.Done()
	for f != nil {
		f()
		w.mu.Lock()
		f = nil
		if len(w.waiting) > 0 {
			f = w.waiting[0].f
			w.waiting[0] = task{}
			w.waiting = w.waiting[1:]
		} else {
			w.running--
		}
		w.mu.Unlock()
	}
}

// forget drops the tasks of a channel that still wait.
func (w *workers) forget(owner *ioChannel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(t task) bool { return t.owner == owner })
}

func (w *workers) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}
