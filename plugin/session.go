package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	cshim "freerdp-pnpdr/cshim/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/char"
	"freerdp-pnpdr/pnp/file"
	"freerdp-pnpdr/pnp/loopback"
	"freerdp-pnpdr/pnp/watch"
)

// FreeRDP's main thread waits while a session starts and ends, and a path can lie
// on a file system that hangs: so both are waited for no longer than this.
const (
	startWait = 2 * time.Second
	endWait   = time.Second
)

// session is one connection's redirection.
//
// It shuts down in this order: FreeRDP closes the channels, each of which closes
// its handle; when the last reference is gone, Ended stops the watcher, so that
// no device comes or goes any more, and then ends the client role, which closes
// the devices and waits for its workers.
type session struct {
	log        *slog.Logger
	core       *client.Session
	goroutines int // before the session began

	watching chan struct{} // closed when watcher is set, if there is any
	watcher  *watch.Watcher

	mu     sync.Mutex
	byPath map[string][]*node
}

// node is a device with a path, which comes and goes.
type node struct {
	option *deviceOption
	id     uint32 // while it is present
}

// newSession does what the options say. What cannot be done is logged and left
// out: the user's session goes on.
func newSession(args []string, host *cshim.Host) *session {
	s := &session{log: host.Logger(), watching: make(chan struct{}), byPath: make(map[string][]*node)}
	// At the very first call the runtime's main goroutine may not be counted.
	s.goroutines = max(runtime.NumGoroutine(), 2)
	if len(args) > 0 {
		args = args[1:]
	}
	o, problems := parseOptions(args)
	s.core = client.NewSession(client.Config{Limits: o.limits, Log: s.log})

	s.log.Info(greeting(o, host))
	for _, p := range problems {
		s.log.Warn(p)
	}
	if o.help {
		for _, line := range usage {
			s.log.Info(line)
		}
	}
	s.start(o.devices)
	return s
}

// greeting is the one line that says what runs and what it redirects.
func greeting(o options, host *cshim.Host) string {
	major, minor, revision := host.Version()
	line := fmt.Sprintf("freerdp-pnpdr %s on FreeRDP %d (%d.%d.%d): ", version, major, major, minor, revision)
	if len(o.devices) == 0 {
		return line + "nothing is redirected; name devices as in /dvc:pnpdr,loopback,char:/dev/ttyUSB0 (/dvc:pnpdr,help lists the options)"
	}
	names := make([]string, len(o.devices))
	for i, d := range o.devices {
		names[i] = d.String()
	}
	return line + "redirecting " + strings.Join(names, ", ")
}

func (s *session) start(devices []*deviceOption) {
	var paths []string
	for _, d := range devices {
		if d.path == "" {
			s.add(d)
			continue
		}
		if s.byPath[d.path] == nil {
			paths = append(paths, d.path)
		}
		s.byPath[d.path] = append(s.byPath[d.path], &node{option: d})
	}
	if len(paths) == 0 {
		close(s.watching)
		return
	}
	go s.watch(paths)
	select {
	case <-s.watching:
	case <-time.After(startWait):
		s.log.Warn("a path does not answer; its devices are redirected when it does")
	}
}

func (s *session) watch(paths []string) {
	defer close(s.watching)
	defer pnp.Guard(s.log, "starting to watch", nil)
	w, err := watch.New(paths, s.changed, s.log)
	if err != nil {
		s.log.Error(fmt.Sprintf("devices with a path are not redirected: %v", err))
		return
	}
	s.watcher = w
}

// changed follows a path that appears or vanishes; it is told the first state
// as well.
func (s *session) changed(path string, present bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.byPath[path] {
		switch {
		case n.id != 0 && !present:
			s.log.Info(fmt.Sprintf("%v has gone", n.option))
			s.core.Remove(n.id)
			n.id = 0
		case n.id == 0:
			if err := n.option.obstacle(); err != nil {
				s.log.Warn(fmt.Sprintf("%v is not redirected: %v", n.option, err))
				continue
			}
			if present {
				n.id = s.add(n.option)
			}
		}
	}
}

// add makes the device and returns its id, 0 if it cannot be redirected.
func (s *session) add(d *deviceOption) uint32 {
	dev, err := newBackend(d, s.log)
	var id uint32
	if err == nil {
		id, err = s.core.Add(dev)
	}
	if err != nil {
		s.log.Warn(fmt.Sprintf("%v is not redirected: %v", d, err))
		return 0
	}
	s.log.Debug(fmt.Sprintf("%v is device %d", d, id))
	return id
}

func newBackend(d *deviceOption, log *slog.Logger) (pnp.Device, error) {
	switch d.backend {
	case backendFile:
		return file.New(d.path, file.Options{Description: d.description, ReadOnly: d.readOnly, Log: log})
	case backendChar:
		return char.New(d.path, char.Options{Description: d.description, ReadOnly: d.readOnly, Log: log})
	}
	return loopback.New(d.description), nil
}

// Accept implements the shim's Session.
func (s *session) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	return s.core.Accept(name, conn)
}

// Ended implements the shim's Session.
func (s *session) Ended() {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer pnp.Guard(s.log, "ending the session", nil)
		<-s.watching
		if s.watcher != nil {
			s.watcher.Close()
		}
		_ = s.core.Close(ctx) // its error is that of ctx
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		s.log.Warn("a device does not let go of its last requests")
	}
	s.report(ctx)
}

// report logs what is left of the session: nothing.
func (s *session) report(ctx context.Context) {
	if !s.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	objects := cshim.LiveObjects()
	if objects > 0 {
		s.log.Debug(fmt.Sprintf("session ended beside another: %+v, %d C objects", s.core.Counts(), objects))
		return
	}
	// A goroutine that has done its work is still counted for a moment.
	for runtime.NumGoroutine() > s.goroutines && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	// Another session's may have been counted at the start.
	left := max(runtime.NumGoroutine()-s.goroutines, 0)
	s.log.Debug(fmt.Sprintf("session ended: %+v, %d goroutines, %d C objects", s.core.Counts(), left, objects))
}
