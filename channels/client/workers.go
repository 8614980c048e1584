package client

import "sync"

// workers runs device calls that may block, at most max at a time; further ones
// wait in order. What waits is bounded by the limits on requests and handles.
type workers struct {
	max int

	mu      sync.Mutex
	running int
	waiting []func()
	idle    sync.WaitGroup
}

func (w *workers) run(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == w.max {
		w.waiting = append(w.waiting, f)
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
			f = w.waiting[0]
			w.waiting[0] = nil
			w.waiting = w.waiting[1:]
		} else {
			w.running--
		}
		w.mu.Unlock()
	}
}

func (w *workers) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}
