// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// node is a named device with a path, which comes and goes.
type node struct {
	*namedDevice
	id   uint32 // while it is present; the watcher's alone
	real string // where the path leads while it is present; session.mu guards it
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
// as well. It is called from one goroutine at a time.
func (s *session) changed(path string, present bool) {
	for _, n := range s.byPath[path] {
		was := n.id != 0
		if was && !present {
			s.log.Info(fmt.Sprintf("%v has gone", n))
			s.core.Remove(n.id)
			n.id = 0
		}
		// A node or link that is replaced is told as gone and come; what it
		// names is not offered otherwise in between.
		if !present && !watch.Present(path) {
			s.leads(n, "")
		}
		if was {
			continue
		}
		if err := n.obstacle(); err != nil {
			s.log.Warn(fmt.Sprintf("%v is not redirected: %v", n, err))
			continue
		}
		if present {
			s.leads(n, realPath(path))
			n.id = s.add(n.namedDevice)
			s.mu.Lock()
			s.fill() // leads may have made room that add did not take
			s.mu.Unlock()
		}
	}
}

// leads notes where a named path leads: what was found there is redirected as
// the option says, not twice. What the path led to before is its own again.
func (s *session) leads(n *node, real string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := n.real
	n.real = real
	for key, f := range s.found {
		if real != "" && f.path == real {
			s.drop(key)
		}
	}
	for _, d := range s.known {
		if d.Node != "" && d.Node == before {
			s.judge(d)
		}
	}
	if real == "" {
		s.fill()
	}
}

// add makes the device and returns its id, 0 if it cannot be redirected.
func (s *session) add(d *namedDevice) (id uint32) {
	id, err := s.redirectNamed(d)
	if err != nil {
		s.log.Warn(fmt.Sprintf("%v is not redirected: %v", d, err))
		return 0
	}
	s.log.Debug(fmt.Sprintf("%v is device %d", d, id))
	return id
}

// redirectNamed redirects a named device, unless a rule denies it.
func (s *session) redirectNamed(d *namedDevice) (id uint32, err error) {
	if d.path == "" {
		return s.redirect("", devnode.ID{}, nil, d.asNamed())
	}
	node, err := devnode.Identify(d.path)
	if err != nil {
		return 0, err
	}
	decision, err := s.judgeNamed(d, node)
	if err != nil {
		return 0, err
	}
	var again func() error
	if node.Mode == unix.S_IFBLK {
		again = func() error {
			now, err := s.judgeNamed(d, node)
			if err == nil && !sameRedirection(now, decision) {
				err = errors.New("the rules say something else of what it is made of now")
			}
			if err != nil {
				s.log.Warn(fmt.Sprintf("%v is not opened: %v", d, err))
				return fmt.Errorf("%v: %w", err, pnp.ERROR_ACCESS_DENIED)
			}
			return nil
		}
	}
	return s.redirect(d.path, node, again, decision)
}

// asNamed is what becomes of a device of which no rule speaks.
func (d *namedDevice) asNamed() *rules.Decision {
	return &rules.Decision{
		Backend: discover.Backend(d.kind), Description: d.describe(), ReadOnly: d.settings.ReadOnly, Limits: d.settings.Limits,
	}
}

// judgeNamed asks the rules about what a device's path leads to.
func (s *session) judgeNamed(d *namedDevice, node devnode.ID) (*rules.Decision, error) {
	if node.Mode == unix.S_IFREG {
		return d.asNamed(), nil
	}
	named := rules.Named{
		Option: d.option, Backend: discover.Backend(d.kind), Path: d.path, Settings: d.settings, IsRule: d.isRule(),
	}
	functions, err := discover.At(s.discovery, d.path)
	if err != nil && s.policy.HasAdmin() {
		return nil, fmt.Errorf("it cannot be told what the administrator says of it: %w", err)
	}
	decision := s.policy.DecideNamed(&named, realPath(d.path), functions)
	if !decision.Redirect {
		return nil, decisionError(decision)
	}
	return &decision, nil
}

func decisionError(d rules.Decision) error {
	if d.Admin {
		return fmt.Errorf("the administrator denies it: %s", d.Reason)
	}
	return fmt.Errorf("it is denied: %s", d.Reason)
}

// obstacle says why a device that has a path cannot be redirected now, and what
// to do; nil if it can.
func (d *namedDevice) obstacle() error {
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it is not there; it will be redirected when it appears")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory; name a file or a device node")
	case !watch.Present(d.path):
		return fmt.Errorf("permission denied (%s); %s", info.Mode(), permissionAdvice(info))
	}
	isChar := info.Mode()&fs.ModeCharDevice != 0
	switch {
	case isChar && d.kind == kindFile:
		return fmt.Errorf("it is a character device; name it as char:%s", d.path)
	case !isChar && d.kind != kindFile:
		return fmt.Errorf("it is no character device; if it is a file or block device, name it as file:%s", d.path)
	case d.kind == kindFile && !info.Mode().IsRegular() && info.Mode()&fs.ModeDevice == 0:
		return errors.New("it is neither a regular file nor a block device")
	}
	return nil
}

func permissionAdvice(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o060 == 0 {
		return "give your user access to it; it will be redirected then"
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("make your user a member of the group %s and log in again", group)
}

// realPath is the path without symbolic links, as far as it exists.
func realPath(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}
