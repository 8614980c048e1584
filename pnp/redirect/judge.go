// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// Decide says what becomes of a device that an option names. found is the result
// of discovery; nil if it has not found the device. It looks at the path, which can
// block.
func Decide(p *rules.Policy, cfg discover.Config, n *rules.Named) (decision rules.Decision, found *discover.Device) {
	if n.Kind.Nodes == 0 {
		return decideNodeless(p, n), nil
	}
	place, err := devnode.Look(n.Path)
	switch {
	case err == nil:
		return decideAt(p, cfg, n, place)
	case !isMissing(err):
		return unknown(p, n, err), nil
	case n.Kind.Nodes&backend.RegularFile != 0:
		return n.Unjudged(), nil
	}
	return p.DecideNamed(n, n.Path, nil), nil
}

// decideNodeless is Decide for a device without a node.
func decideNodeless(p *rules.Policy, n *rules.Named) rules.Decision {
	if n.Kind.Judged {
		return p.DecideNamed(n, "", nil)
	}
	return n.Unjudged()
}

// isMissing reports whether err says that there is nothing at a path.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// typeOf returns the type of a node.
func typeOf(id devnode.ID) backend.Nodes {
	switch id.Mode {
	case unix.S_IFCHR:
		return backend.CharDevice
	case unix.S_IFBLK:
		return backend.BlockDevice
	case unix.S_IFREG:
		return backend.RegularFile
	case unix.S_IFSOCK:
		return backend.Socket
	}
	return 0
}

// unknown is the decision about a device that cannot be identified. A rule that denies
// could mean this device.
func unknown(p *rules.Policy, n *rules.Named, err error) rules.Decision {
	if !p.MayDeny(n) {
		return p.DecideNamed(n, n.Path, nil)
	}
	d := n.Unjudged()
	d.Redirect, d.Verdict = false, rules.Denied
	d.Reason = fmt.Sprintf("rules may be about it, but it cannot be identified: %v", err)
	return d
}

// decideAt is Decide for a node that the path led to. It does not follow the path
// again, which may lead elsewhere by now.
func decideAt(p *rules.Policy, cfg discover.Config, n *rules.Named, place devnode.Place) (decision rules.Decision, found *discover.Device) {
	functions, err := discover.AtPlace(cfg, place)
	switch {
	case errors.Is(err, discover.ErrNoDevice):
		decision = n.Unjudged()
		decision.Redirect, decision.Verdict, decision.Reason = false, rules.NoDevice, "it is a node without a device; it will be redirected when the device is there"
		return decision, nil
	case err != nil:
		return unknown(p, n, err), nil
	case len(functions) == 0 && place.Mode == unix.S_IFREG:
		return n.Unjudged(), nil // rules are not about files
	}
	if len(functions) > 0 {
		// The device is the function that its kind serves.
		if n.Kind.Serves != nil {
			i := max(slices.IndexFunc(functions, n.Kind.Serves), 0)
			functions[0], functions[i] = functions[i], functions[0]
		}
		found = functions[0]
	}
	return p.DecideNamed(n, place.Real, functions), found
}

// verify returns the check of each open: only the node that was decided on is
// opened, and only while again, which decides anew, still allows it. A node can come
// to lead to another device: its number is given to one, or a loop device, a volume
// or an alias is set up differently.
func (s *Session) verify(place devnode.Place, log *slog.Logger, again func() error) func(devnode.ID) error {
	return func(opened devnode.ID) error {
		if opened.Mode == unix.S_IFREG && place.Mode == unix.S_IFREG {
			return nil // another file may replace it: rules are not about files
		}
		err := fmt.Errorf("the path leads to another node than the one that was allowed: %w", pnp.ERROR_ACCESS_DENIED)
		if opened == place.ID {
			err = again()
		}
		if err != nil {
			log.Warn("device is not opened", "err", err)
		}
		return err
	}
}

// stillAllowed compares two decisions about a device. The error, for an open, says
// why the device may no longer be redirected as it was.
func stillAllowed(was, now *rules.Decision) error {
	err := refusal(now)
	switch {
	case now.Verdict == rules.NoDevice:
		return fmt.Errorf("%v: %w", err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	case err == nil && !sameRedirection(now, was):
		err = errors.New("the rules now say something else about the device behind it")
	}
	if err != nil {
		return fmt.Errorf("%v: %w", err, pnp.ERROR_ACCESS_DENIED)
	}
	return nil
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
		return denied(info)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return wrongNode(n, kinds, backend.TypeOf(info.Mode()), uint64(st.Rdev)) //nolint:unconvert // 32 bits on MIPS
}

// wrongNode says why a node, of this type and number, is not one for the kind of
// device; nil if it is.
func wrongNode(n *rules.Named, kinds backend.Table, is backend.Nodes, rdev uint64) error {
	subsystem := ""
	if is == backend.CharDevice {
		subsystem = subsystemOf(rdev)
	}
	var why string
	switch {
	case n.Kind.Nodes&is == 0:
		why = fmt.Sprintf("it is not %s", n.Kind.Nodes)
	case n.Kind.Subsystem != "" && subsystem != "" && n.Kind.Subsystem != subsystem:
		why = fmt.Sprintf("it is a device of the subsystem %s, not %s", subsystem, n.Kind.Subsystem)
	default:
		return nil
	}
	if other := kinds.Plain(is); other != nil {
		return fmt.Errorf("%s; name it as %s:%s", why, other.Name, n.Path)
	}
	return errors.New(why)
}

// subsystemOf returns the subsystem of a character device; "" if sysfs does not know it.
func subsystemOf(rdev uint64) string {
	tree, err := sysfs.Open("/sys")
	if err != nil {
		return ""
	}
	dir, err := tree.ByNumber(sysfs.CharNumber(rdev))
	if err != nil || dir == "" {
		return ""
	}
	return tree.Link(dir, "subsystem")
}

// denied says how to get access to a node.
func denied(info fs.FileInfo) error {
	if group := discover.Group(info); group != "" {
		return fmt.Errorf("permission denied; %s", discover.JoinGroup(group))
	}
	return errors.New("permission denied; give your user access to it, and it will be redirected")
}
