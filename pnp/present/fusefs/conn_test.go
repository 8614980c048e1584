// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"runtime"
	"sync"
	"testing"
)

// TestSomebodyReads: however the goroutines that serve come and go, one of them waits for
// the next request. It hangs if none does.
func TestSomebodyReads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8)) // threads, which stop anywhere
	const requests, outstanding = 1_000_000, 8
	var (
		r        readers
		received = make(chan struct{})
		handled  = make(chan struct{}, outstanding)
		active   sync.WaitGroup
		serve    func()
	)
	serve = func() {
		defer active.Done()
		for range received {
			if r.busy() {
				active.Add(1)
				go serve()
			}
			handled <- struct{}{}
			if !r.idle() {
				return
			}
		}
	}
	r.idle()
	active.Add(1)
	go serve()
	for i := range requests {
		if i >= outstanding {
			<-handled
		}
		received <- struct{}{}
	}
	close(received)
	active.Wait()
}
