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
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
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
// its handle; when the last reference is gone, Ended stops the watcher and the
// monitor, so that no device comes or goes any more, and then ends the client
// role, which closes the devices and waits for its workers.
type session struct {
	log        *slog.Logger
	core       *client.Session
	policy     *rules.Policy
	discovery  discover.Config
	goroutines int // before the session began

	started chan struct{} // closed when watcher and monitor are set, if there are any
	watcher *watch.Watcher
	monitor *discover.Monitor

	mu     sync.Mutex
	byPath map[string][]*node
	found  map[string]discovered // by discover.Device.Key
}

// node is a named device with a path, which comes and goes.
type node struct {
	*namedDevice
	id uint32 // while it is present
}

// newSession does what the options say. What cannot be done is logged and left
// out: the user's session goes on.
func newSession(args []string, host *cshim.Host) *session {
	s := &session{
		log:     host.Logger(),
		started: make(chan struct{}),
		byPath:  make(map[string][]*node),
		found:   make(map[string]discovered),
	}
	// At the very first call the runtime's main goroutine may not be counted.
	s.goroutines = max(runtime.NumGoroutine(), 2)
	if len(args) > 0 {
		args = args[1:]
	}
	o, problems := parseOptions(args)
	policy, inFiles := rules.Load(rules.DefaultFiles(&o.rules), &o.rules)
	s.policy = policy
	s.core = client.NewSession(client.Config{Limits: o.limits, Log: s.log})

	s.log.Info(s.greeting(o, host))
	for _, p := range problems {
		s.log.Warn(p)
	}
	for _, p := range inFiles {
		s.log.Warn(p.String())
	}
	if o.help {
		for _, line := range usage() {
			s.log.Info(line)
		}
	}
	s.start(o.devices)
	return s
}

// greeting is the one line that says what runs and what it redirects.
func (s *session) greeting(o options, host *cshim.Host) string {
	major, minor, revision := host.Version()
	line := fmt.Sprintf("freerdp-pnpdr %s on FreeRDP %d (%d.%d.%d): ", version, major, major, minor, revision)
	var what []string
	for _, d := range o.devices {
		what = append(what, d.String())
	}
	if !s.policy.Idle() {
		what = append(what, "what is found and allowed (pnpdr list shows it)")
	}
	if len(what) == 0 {
		return line + "nothing is redirected; name devices as in /dvc:pnpdr,loopback,char:/dev/ttyUSB0 (/dvc:pnpdr,help lists the options)"
	}
	return line + "redirecting " + strings.Join(what, ", ")
}

func (s *session) start(devices []*namedDevice) {
	var paths []string
	for _, d := range devices {
		if d.path == "" {
			s.add(d)
			continue
		}
		if s.byPath[d.path] == nil {
			paths = append(paths, d.path)
		}
		s.byPath[d.path] = append(s.byPath[d.path], &node{namedDevice: d})
	}
	go func() {
		defer close(s.started)
		defer pnp.Guard(s.log, "starting", nil)
		if len(paths) > 0 {
			s.watch(paths)
		}
		s.discover()
	}()
	select {
	case <-s.started:
	case <-time.After(startWait):
		s.log.Warn("a path does not answer; its devices are redirected when it does")
	}
}

func (s *session) watch(paths []string) {
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
			s.log.Info(fmt.Sprintf("%v has gone", n))
			s.core.Remove(n.id)
			n.id = 0
		case n.id == 0:
			if err := n.obstacle(); err != nil {
				s.log.Warn(fmt.Sprintf("%v is not redirected: %v", n, err))
				continue
			}
			if present {
				n.id = s.add(n.namedDevice)
			}
		}
	}
}

// add makes the device and returns its id, 0 if it cannot be redirected.
func (s *session) add(d *namedDevice) (id uint32) {
	dev, err := s.device(d)
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

// device makes a named device, unless the administrator denies it.
func (s *session) device(d *namedDevice) (pnp.Device, error) {
	var found *discover.Device
	readOnly, handles := d.settings.ReadOnly, d.settings.Handles
	if d.path != "" && isNode(d.path) {
		if found = find(s.discovery, d.path); found == nil {
			found = &discover.Device{Node: realPath(d.path), Interface: -1, Description: d.describe(nil)}
		}
		if reason, denied := s.policy.Denied(found); denied {
			return nil, fmt.Errorf("the administrator denies it: %s", reason)
		}
		// What the administrator restricts holds; and serial: and hid: are
		// rules among the user's own.
		decision := s.policy.Decide(found)
		if d.isRule() && decision.Verdict == rules.Denied && decision.Rule != nil {
			return nil, fmt.Errorf("it is denied: %s", decision.Reason)
		}
		readOnly = readOnly || decision.ReadOnly
		if handles == 0 || decision.Handles != 0 && decision.Handles < handles {
			handles = decision.Handles
		}
	}
	dev, err := newBackend(d.backend, d.path, d.describe(found), readOnly, s.log)
	if err != nil {
		return nil, err
	}
	return limit(dev, handles), nil
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
		<-s.started
		if s.watcher != nil {
			s.watcher.Close()
		}
		if s.monitor != nil {
			s.monitor.Close()
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
