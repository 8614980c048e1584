// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"freerdp-pnpdr/pnp/backend"
)

// AdminFile is the administrator's file.
const AdminFile = "/etc/freerdp/pnpdr.toml"

// maxFile bounds a file: a few thousand rules.
const maxFile = 256 << 10

// Files are where rules are read from. A name that is "" is not read.
type Files struct {
	Admin, User string
	// UserMustExist is set if the user named the file.
	UserMustExist bool
}

// DefaultFiles returns the administrator's file and the user's: the one that
// option config: names, else the usual one.
func DefaultFiles(o *Options) Files {
	f := Files{Admin: AdminFile, User: o.Config, UserMustExist: o.Config != ""}
	if f.User != "" {
		return f
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return f
		}
		dir = filepath.Join(home, ".config")
	}
	f.User = filepath.Join(dir, "freerdp", "pnpdr.toml")
	return f
}

// Load reads the files and joins them with the options. There is always a
// policy: a file with a problem denies every device that reaches it, since
// nobody knows what it was meant to deny.
func Load(f Files, o *Options) (*Policy, []Problem) {
	p := &Policy{kinds: o.Kinds}
	p.user.optionAuto = o.Auto
	p.user.rules = append(p.user.rules, o.Rules...)
	problems := p.admin.load(f.Admin, false, o.Kinds)
	problems = append(problems, p.user.load(f.User, f.UserMustExist, o.Kinds)...)
	return p, problems
}

// load adds what the file says to the side.
func (s *side) load(path string, mustExist bool, kinds backend.Table) []Problem {
	if path == "" {
		return nil
	}
	s.file = path
	if !mustExist && Missing(path) {
		return nil
	}
	data, err := readFile(path)
	var c *config
	var problems []Problem
	if err != nil {
		problems = []Problem{{File: path, Text: err.Error()}}
	} else {
		c, problems = parse(path, data, kinds)
	}
	if len(problems) > 0 {
		s.rules = append(s.rules, &Rule{Deny: true, Broken: true, Source: path, file: true})
		return problems
	}
	s.rules = append(s.rules, c.rules...)
	s.fallback, s.fileAuto = c.fallback, c.auto
	return nil
}

// Consequences says once for each file with problems what they lead to.
func Consequences(problems []Problem) []Problem {
	var all []Problem
	for _, p := range problems {
		told := Problem{File: p.File, Text: "until this is corrected, it denies every device that reaches it"}
		if !slices.Contains(all, told) {
			all = append(all, told)
		}
	}
	return all
}

// Missing reports whether there is nothing at path, so that nothing is said
// there. A dangling link counts as something: what was behind it is unknown.
func Missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Check reads a file and returns its problems, and how many rules it has.
func Check(path string, kinds backend.Table) (rules int, problems []Problem) {
	data, err := readFile(path)
	if err != nil {
		return 0, []Problem{{File: path, Text: err.Error()}}
	}
	c, problems := parse(path, data, kinds)
	return len(c.rules), problems
}

// readFile reads a regular file of bounded size, or /dev/null.
func readFile(path string) ([]byte, error) {
	// Without O_NONBLOCK a pipe would keep the session from starting.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() && filepath.Clean(path) != os.DevNull {
		return nil, fmt.Errorf("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, reason(err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("it is longer than %d KiB", maxFile>>10)
	}
	return data, nil
}

// reason leaves out the path, which a problem begins with anyway.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("it cannot be read: %w", pe.Err)
	}
	return err
}
