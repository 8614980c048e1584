// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// statement is one line of a script.
type statement struct {
	line  int
	text  string
	cmd   *command
	args  []word
	inner *statement // the command after start or expect-error
}

// parseScript reads a whole script, so that a mistake in its last line is found
// before the first is carried out.
func parseScript(r io.Reader) ([]*statement, error) {
	var script []*statement
	lines := newLines(r)
	for {
		st, err := lines.next()
		switch {
		case err == io.EOF:
			return script, nil
		case err != nil:
			return nil, err
		}
		script = append(script, st)
	}
}

// lines reads a script line by line.
type lines struct {
	scanner *bufio.Scanner
	n       int
}

func newLines(r io.Reader) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 2*maxData)
	return &lines{scanner: s}
}

// next returns the next command, or io.EOF. After an error it continues with
// the next line.
func (l *lines) next() (*statement, error) {
	for l.scanner.Scan() {
		l.n++
		st, err := parseLine(l.scanner.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.n, err)
		}
		if st != nil {
			st.line = l.n
			return st, nil
		}
	}
	if err := l.scanner.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// parseLine returns nil for an empty line and for a comment: a line that begins
// with #.
func parseLine(line string) (*statement, error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	name, rest := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		name, rest = line[:i], line[i:]
	}
	cmd := lookup(name)
	if cmd == nil {
		return nil, fmt.Errorf("there is no command %q; help lists them", name)
	}
	st := &statement{text: line, cmd: cmd}
	if err := st.parseArguments(strings.TrimSpace(rest)); err != nil {
		return nil, err
	}
	return st, nil
}

func (st *statement) parseArguments(rest string) error {
	cmd := st.cmd
	if cmd.raw {
		st.args = []word{word(rest)}
		if rest == "" {
			return cmd.misused()
		}
		return nil
	}
	for cmd.inner != nil && len(st.args) < cmd.min && rest != "" {
		n, err := cut(rest, " \t")
		if err != nil {
			return err
		}
		st.args = append(st.args, word(rest[:n]))
		rest = strings.TrimSpace(rest[n:])
	}
	if cmd.inner != nil {
		return st.parseInner(rest)
	}
	var err error
	if st.args, err = splitWords(rest); err != nil {
		return err
	}
	if n := len(st.args); n < cmd.min || n > cmd.max {
		return cmd.misused()
	}
	for i, keyword := range cmd.keywords {
		// Each keyword is followed by an argument.
		if keyword != "" && i < len(st.args) && (string(st.args[i]) != keyword || i == len(st.args)-1) {
			return cmd.misused()
		}
	}
	return nil
}

func (st *statement) parseInner(rest string) error {
	inner, err := parseLine(rest)
	switch {
	case err != nil:
		return err
	case inner == nil:
		return st.cmd.misused()
	case !st.cmd.inner(inner.cmd):
		return fmt.Errorf("%s cannot follow %s", inner.cmd.name, st.cmd.name)
	}
	st.inner = inner
	return nil
}
