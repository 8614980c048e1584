// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// Decide says what becomes of a device that an option names. found is what
// discovery knows of it; nil for nothing. It looks at the path, and can take as
// long as that.
func Decide(p *rules.Policy, cfg discover.Config, n *rules.Named) (decision rules.Decision, found *discover.Device) {
	if n.Kind.Nodes == 0 {
		return n.Unjudged(), nil
	}
	functions, err := discover.At(cfg, n.Path)
	switch {
	case err != nil && p.HasAdmin():
		decision = n.Unjudged()
		decision.Redirect, decision.Verdict, decision.Admin = false, rules.Denied, true
		decision.Reason = fmt.Sprintf("what the rules say of it is unknown: %v", err)
		return decision, nil
	case len(functions) == 0 && isFile(n):
		return n.Unjudged(), nil // no rule speaks of files
	}
	if len(functions) > 0 {
		// The device is the function that its kind serves.
		if n.Kind.Serves != nil {
			i := max(slices.IndexFunc(functions, n.Kind.Serves), 0)
			functions[0], functions[i] = functions[i], functions[0]
		}
		found = functions[0]
	}
	return p.DecideNamed(n, realPath(n.Path), functions), found
}

// isFile reports whether a named device is a regular file. Where there is
// nothing yet it is what its kind serves.
func isFile(n *rules.Named) bool {
	info, err := os.Stat(n.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return n.Kind.Nodes&backend.RegularFile != 0
	}
	return err == nil && info.Mode().IsRegular()
}

// realPath is the path without symbolic links, as far as it exists.
func realPath(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}

// same returns what verifies that a device is opened only as the node that was
// decided on. again decides anew about a node that can become another device
// while it stays the same: a loop device, a volume. It is nil for others.
func same(node devnode.ID, again func() error) func(devnode.ID) error {
	return func(opened devnode.ID) error {
		switch {
		case opened.Mode == unix.S_IFREG && node.Mode == unix.S_IFREG:
			return nil // it may be replaced by another file: no rule speaks of those
		case opened != node:
			return fmt.Errorf("the path leads to another node than the one that was allowed: %w", pnp.ERROR_ACCESS_DENIED)
		case again != nil:
			return again()
		}
		return nil
	}
}

// Obstacle says why a device that has a path cannot be redirected now, and what
// to do; nil if it can.
func Obstacle(n *rules.Named, kinds backend.Table) error {
	info, err := os.Stat(n.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it is not there; it will be redirected when it appears")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory; name a file or a device node")
	case !watch.Present(n.Path):
		return fmt.Errorf("permission denied (%s); %s", info.Mode(), permissionAdvice(info))
	}
	is := backend.TypeOf(info.Mode())
	if n.Kind.Nodes&is != 0 {
		return nil
	}
	if other := kinds.Plain(is); other != nil {
		return fmt.Errorf("it is not %s; name it as %s:%s", n.Kind.Nodes, other.Name, n.Path)
	}
	return fmt.Errorf("it is not %s", n.Kind.Nodes)
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
