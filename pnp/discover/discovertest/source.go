// SPDX-License-Identifier: Apache-2.0

package discovertest

import (
	"os"
	"sync"
	"time"

	"freerdp-pnpdr/pnp/discover"
)

// Source is a discover.Source for messages that a test makes.
type Source struct {
	mu       sync.Mutex
	messages []discover.Uevent
	lost     bool
	closed   bool
	woken    chan struct{} // holds one
	forget   func()
}

// Listen makes a source that delivers the tree's messages.
func (m *Tree) Listen() (discover.Source, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &Source{woken: make(chan struct{}, 1)}
	s.forget = func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.sources, s)
	}
	m.sources[s] = true
	return s, nil
}

// Lose makes the tree's sources drop the messages that they have not delivered, and
// report the loss.
func (m *Tree) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.sources {
		s.change(func() { s.messages, s.lost = nil, true })
	}
}

// Send delivers a message.
func (s *Source) Send(e discover.Uevent) {
	s.change(func() { s.messages = append(s.messages, e) })
}

// Close ends the source.
func (s *Source) Close() error {
	s.forget()
	s.change(func() { s.closed = true })
	return nil
}

func (s *Source) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// Receive implements discover.Source.
func (s *Source) Receive(wait time.Duration) ([]discover.Uevent, error) {
	var timeout <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	for {
		messages, err, done := s.take()
		if done || wait == 0 {
			return messages, err
		}
		select {
		case <-s.woken:
		case <-timeout:
			return nil, nil
		}
	}
}

func (s *Source) take() (messages []discover.Uevent, err error, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, os.ErrClosed, true
	case s.lost:
		s.lost, err = false, discover.ErrLost
	}
	messages, s.messages = s.messages, nil
	return messages, err, err != nil || len(messages) > 0
}
