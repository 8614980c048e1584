// SPDX-License-Identifier: Apache-2.0

// Package redirect turns options and rules into redirected devices: it decides
// which devices a session has, and follows them as they come and go.
package redirect

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// FreeRDP's main thread waits while a session starts and ends, and a path can lie
// on a file system that hangs: so nothing is waited for longer than this.
const (
	startWait = 2 * time.Second // once for the rules, once for the devices
	endWait   = time.Second
)

// Host is the program that a session runs in.
type Host struct {
	// Name is how the session introduces itself: what it is and what it runs on.
	Name string
	// Kinds are the devices that there are.
	Kinds backend.Table
	Log   *slog.Logger
	// LiveObjects counts what the host has not given back yet; nil if it does
	// not count.
	LiveObjects func() int
}

// session is one connection's redirection.
//
// It shuts down in this order: FreeRDP closes the channels, each of which closes
// its handle; when the last reference is gone, Ended stops the watcher and the
// monitor, so that no device comes or goes any more, and then ends the client
// role, which closes the devices and waits for its workers.
type session struct {
	log        *slog.Logger
	host       Host
	kinds      backend.Table
	core       *client.Session
	discovery  discover.Config
	goroutines int // before the session began

	loaded chan struct{} // closed when policy is set; it stays nil if that failed
	policy *rules.Policy

	over    atomic.Bool   // it has ended; nothing begins any more
	started chan struct{} // closed when watcher and monitor are set, if there are any
	watcher *watch.Watcher
	monitor *discover.Monitor

	mu     sync.Mutex
	byPath map[string][]*node
	known  map[string]*discover.Device // what is plugged in, by its Key
	found  map[string]discovered       // what of that is redirected
	excess map[string]bool             // what of that there was no room for
}

// Session is one connection's redirection, as its host sees it.
type Session interface {
	// Accept takes a channel that the server opens; an error refuses it.
	Accept(name string, conn channels.Conn) (channels.Receiver, error)
	// Ended is called once, when every channel has ended.
	Ended()
}

// Start does what the options say; args are their words, the plugin's name
// first.
func Start(args []string, host Host) Session { return newSession(args, host) }

// newSession does what the options say. What cannot be done is logged and left
// out: the user's session goes on.
func newSession(args []string, host Host) *session {
	s := &session{log: host.Log, host: host, kinds: host.Kinds}
	// At the very first call the runtime's main goroutine may not be counted.
	s.goroutines = max(runtime.NumGoroutine(), 2)
	if len(args) > 0 {
		args = args[1:]
	}
	o := ParseOptions(args, host.Kinds)
	s.core = client.NewSession(client.Config{Limits: o.Limits, Log: s.log})
	s.load(rules.DefaultFiles(&o.Rules), &o.Rules)

	s.log.Info(s.greeting(o))
	for _, p := range o.Problems {
		s.log.Warn(p.String() + "; /dvc:pnpdr,help lists the options")
	}
	if o.Help {
		s.log.Info("/dvc:pnpdr,OPTION[,OPTION]... redirects Plug and Play devices")
		for _, line := range Usage(host.Kinds) {
			s.log.Info(line)
		}
	}
	s.start(o.Rules.Named)
	return s
}

// load begins to read the rules, which can hang, and waits for them a while.
func (s *session) load(files rules.Files, o *rules.Options) {
	s.loaded = make(chan struct{})
	go func() {
		defer close(s.loaded)
		defer pnp.Guard(s.log, "reading the rules", nil)
		policy, problems := rules.Load(files, o)
		for _, p := range problems {
			s.log.Warn(p.String())
		}
		s.policy = policy
	}()
	select {
	case <-s.loaded:
	case <-time.After(startWait):
		s.log.Warn("the files with the rules do not answer; what has a path or is found is redirected when they do")
	}
}

// rulesKnown reports whether policy may be looked at.
func (s *session) rulesKnown() bool {
	select {
	case <-s.loaded:
		return s.policy != nil
	default:
		return false
	}
}

// greeting is the one line that says what runs and what it redirects.
func (s *session) greeting(o *Options) string {
	line := s.host.Name + ": "
	var what []string
	for _, d := range o.Rules.Named {
		what = append(what, d.String())
	}
	switch {
	case !s.rulesKnown():
		what = append(what, "what the rules allow once they are read")
	case !s.policy.Idle():
		what = append(what, "what is found and allowed (pnpdr list shows it)")
	}
	if len(what) == 0 {
		return line + "nothing is redirected; name devices as in /dvc:pnpdr,loopback,char:/dev/ttyUSB0 (/dvc:pnpdr,help lists the options)"
	}
	return line + "redirecting " + strings.Join(what, ", ")
}

// start begins to redirect. What can hang is left to goroutines, for which it
// waits a while.
func (s *session) start(devices []*rules.Named) {
	s.started = make(chan struct{})
	s.byPath, s.found = make(map[string][]*node), make(map[string]discovered)
	s.known, s.excess = make(map[string]*discover.Device), make(map[string]bool)
	var paths []string
	for _, n := range devices {
		if n.Kind.Nodes == 0 {
			s.add(n)
			continue
		}
		if s.byPath[n.Path] == nil {
			paths = append(paths, n.Path)
		}
		s.byPath[n.Path] = append(s.byPath[n.Path], &node{Named: n})
	}
	var starting sync.WaitGroup
	begin := func(f func()) {
		starting.Add(1)
		go func() {
			defer starting.Done()
			defer pnp.Guard(s.log, "starting", nil)
			f()
		}()
	}
	watched := make(chan struct{})
	begin(func() {
		defer close(watched)
		if <-s.loaded; s.rulesKnown() && !s.over.Load() && len(paths) > 0 {
			s.watch(paths)
		}
	})
	begin(func() {
		if <-s.loaded; !s.rulesKnown() || s.over.Load() || s.policy.Idle() {
			return
		}
		// First the named ones, that none of them is found before; but a path
		// that hangs holds nothing else up.
		select {
		case <-watched:
		case <-time.After(startWait / 2):
		}
		s.discover()
	})
	go func() {
		starting.Wait()
		close(s.started)
	}()
	select {
	case <-s.loaded:
	default:
		return // the files were waited for
	}
	select {
	case <-s.started:
	case <-time.After(startWait):
		s.log.Warn("a path does not answer; its devices are redirected when it does")
	}
}

// redirect adds the device of a source as was decided.
func (s *session) redirect(src backend.Source, decision *rules.Decision) (id uint32, err error) {
	src.Description, src.ReadOnly, src.Log = decision.Description, decision.ReadOnly, s.log
	dev, err := decision.Kind.New(src)
	if err != nil {
		return 0, err
	}
	return s.core.AddLimited(dev, decision.Limits)
}

// Accept implements the shim's Session.
func (s *session) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	return s.core.Accept(name, conn)
}

// Ended implements the shim's Session.
func (s *session) Ended() {
	ctx, cancel := context.WithTimeout(context.Background(), endWait)
	defer cancel()
	s.over.Store(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer pnp.Guard(s.log, "ending the session", nil)
		select {
		case <-s.started:
		case <-ctx.Done(): // a path hangs; nothing can be added once core is closed
			_ = s.core.Close(ctx)
			<-s.started
		}
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
	objects := 0
	if s.host.LiveObjects != nil {
		objects = s.host.LiveObjects()
	}
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
