// SPDX-License-Identifier: Apache-2.0

// Package redirect turns options and rules into redirected devices: it decides
// which devices a session has, and follows them as they come and go. Options and
// decisions do not need a session: pnpdr only shows them.
package redirect

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// defaultStartWait is how long Start waits for the rules, and again for the
// devices: a path may be on a file system that hangs, and the caller's main
// thread waits.
const defaultStartWait = 2 * time.Second

// Devices is what devices are redirected to: the client role of a session. Its
// methods may be called from any goroutine.
type Devices interface {
	// AddAll adds devices, each with these limits of its own, or none of them. While
	// there is no room for all, it fails with pnp.ErrTooMany.
	AddAll(devices []pnp.Device, own pnp.DeviceLimits) (ids []uint32, err error)
	// Remove takes a device out. It ignores an id that is unknown.
	Remove(id uint32)
}

// Config is what a Session works with.
type Config struct {
	// Name is how the session introduces itself in the log.
	Name string
	Log  *slog.Logger
	// Devices receives the devices.
	Devices Devices
	// Host is what the RDP client knows about the session.
	Host backend.Host
	// Files are where rules are read from.
	Files rules.Files
	// Discovery is where devices are looked for.
	Discovery discover.Config

	startWait time.Duration // 0: defaultStartWait
}

// Session is the redirection of one connection.
type Session struct {
	log       *slog.Logger
	devices   *members
	shown     *backend.Session // what devices may know of the session
	discovery discover.Config
	kinds     backend.Table
	startWait time.Duration

	loaded chan struct{} // closed when policy is set; it stays nil if that failed
	policy *rules.Policy

	over    atomic.Bool   // it has ended; nothing begins any more
	started chan struct{} // closed when watcher and monitor are set, if there are any
	watcher *watch.Watcher
	monitor *discover.Monitor

	named  []*node // in the order of the options
	byPath map[string][]*node

	following sync.Mutex // held while named devices are followed; comes before mu
	arrivals  *arrivals  // guarded by following; nil until a node waits for its device

	asked []*rules.Rule // the options that name devices which are found

	mu      sync.Mutex
	known   map[string]*discover.Device // what is plugged in, by its Key
	found   map[string]discovered       // which of those are redirected
	excess  map[string]bool             // which of those there was no room for
	refused map[string]error            // why others are not redirected
}

// Start begins to do what the options say. What cannot be done is logged and left
// out. What hangs is waited for a while; it goes on after Start has returned.
func Start(o *Options, cfg Config) *Session {
	s := &Session{
		log: cfg.Log, devices: newMembers(cfg.Devices), discovery: cfg.Discovery, kinds: o.Rules.Kinds,
		loaded: make(chan struct{}), started: make(chan struct{}),
		byPath: make(map[string][]*node), known: make(map[string]*discover.Device),
		found: make(map[string]discovered), excess: make(map[string]bool), refused: make(map[string]error),
	}
	if s.startWait = cfg.startWait; s.startWait == 0 {
		s.startWait = defaultStartWait
	}
	s.discovery.Log = s.log
	s.shown = &backend.Session{Session: s.devices, Host: cfg.Host, Shares: o.Shares, Since: time.Now()}
	s.load(cfg.Files, &o.Rules)
	s.explain(o)
	s.name(&o.Rules)
	s.start(cfg.Name)
	return s
}

// End begins to end the session: nothing is redirected any more. The channel is
// closed once no device comes or goes; a path that hangs can hold that up. It is
// called once.
func (s *Session) End() (ended <-chan struct{}) {
	s.over.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer pnp.Guard(s.log, "ending the session", nil)
		<-s.started
		if s.watcher != nil {
			s.watcher.Close()
		}
		s.detach()
		if s.monitor != nil {
			s.monitor.Close()
		}
		s.following.Lock()
		a := s.arrivals
		s.following.Unlock()
		if a != nil { // no other begins, since nothing is followed any more
			a.close()
		}
	}()
	return done
}

// load begins to read the rules, which can hang, and waits for them a while.
func (s *Session) load(files rules.Files, o *rules.Options) {
	go func() {
		defer close(s.loaded)
		defer pnp.Guard(s.log, "reading the rules", nil)
		policy, problems := rules.Load(files, o)
		for _, p := range append(problems, rules.Consequences(problems)...) {
			s.log.Warn(p.String())
		}
		s.policy = policy
	}()
	select {
	case <-s.loaded:
	case <-time.After(s.startWait):
		s.log.Warn("the rules cannot be read yet; what has a path or is found is redirected once they can")
	}
}

// rulesKnown reports whether policy may be looked at.
func (s *Session) rulesKnown() bool {
	select {
	case <-s.loaded:
		return s.policy != nil
	default:
		return false
	}
}

// explain says what is wrong with the options, and lists them if that was asked for.
func (s *Session) explain(o *Options) {
	for _, p := range o.Problems {
		s.log.Warn(p.String() + "; /dvc:pnpdr,help lists the options")
	}
	if o.Help {
		s.log.Info("/dvc:pnpdr,OPTION[,OPTION]... redirects Plug and Play devices")
		for _, line := range Usage(s.kinds) {
			s.log.Info(line)
		}
	}
}

// name notes which devices the options name.
func (s *Session) name(o *rules.Options) {
	s.asked = o.Asked()
	for _, n := range o.Named {
		d := &node{Named: n}
		s.named = append(s.named, d)
		if n.Kind.Nodes != 0 {
			s.byPath[n.Path] = append(s.byPath[n.Path], d)
		}
	}
}

// start begins to redirect. What can hang is left to goroutines, for which it
// waits a while.
func (s *Session) start(name string) {
	var paths []string
	var judged []*node // without a path
	for _, n := range s.named {
		switch {
		case n.Kind.Nodes == 0 && n.Kind.Judged:
			s.set(n, nil, errors.New("the rules cannot be read"))
			judged = append(judged, n)
		case n.Kind.Nodes == 0:
			s.add(n, devnode.Place{})
		case !slices.Contains(paths, n.Path):
			paths = append(paths, n.Path)
		}
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
		if <-s.loaded; !s.rulesKnown() || s.over.Load() {
			return
		}
		for _, n := range judged {
			s.add(n, devnode.Place{})
		}
		if len(paths) > 0 {
			s.watch(paths)
		}
	})
	begin(func() {
		if <-s.loaded; !s.rulesKnown() || s.over.Load() || s.policy.Idle() {
			return
		}
		// The named ones first, so that none of them is offered as it was
		// found; but a path that hangs holds nothing else up.
		select {
		case <-watched:
		case <-time.After(s.startWait / 2):
		}
		s.discover()
	})
	go func() {
		defer close(s.started)
		defer pnp.Guard(s.log, "summing up", nil)
		if starting.Wait(); !s.over.Load() {
			s.log.Info(name + ": " + s.summary())
		}
	}()
	select {
	case <-s.loaded:
	default:
		return // the files were waited for
	}
	select {
	case <-s.started:
	case <-time.After(s.startWait):
		s.log.Warn("a path does not answer; its devices are redirected when it does")
	}
}

// redirect adds the devices of a source as was decided: all of them, or none.
func (s *Session) redirect(src backend.Source, decision *rules.Decision) (ids []uint32, err error) {
	src.ReadOnly, src.Log, src.Session = decision.ReadOnly, s.log, s.shown
	src.IOControls = decision.IOControls
	var devices []pnp.Device
	for n, description := range decision.Devices() {
		if src.Description = description; decision.Collections != nil {
			src.Collection = n + 1
		}
		d, err := decision.Kind.New(src)
		if err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	return s.devices.add(decision.Kind, devices, decision.Limits)
}
