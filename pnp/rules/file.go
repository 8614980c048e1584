// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"

	"freerdp-pnpdr/pnp/backend"
)

const (
	maxRules    = 1000
	maxProblems = 20
	// maxIOControls is how many a rule may have.
	maxIOControls = 256
	maxText       = 300 // of a problem, in characters
)

// Problem is something in a file that cannot be understood.
type Problem struct {
	File string
	// Line and Column count from 1, Column in characters; 0 if the problem
	// is with all of the file.
	Line, Column int
	Text         string
}

// String is the problem as compilers write theirs: file:line:column: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// config is what a file says.
type config struct {
	rules    []*Rule
	fallback string
	auto     bool
}

// The keys of a file.
var (
	topKeys  = []string{"auto", "default", "rule"}
	fileKeys = append([]string{"action", "comment", "iocontrols"}, ruleKeys()...)
)

// fileParser walks the expressions of a TOML document, so that every problem
// has its position and one does not hide the next.
type fileParser struct {
	config
	name     string
	kinds    backend.Table
	data     []byte
	toml     unstable.Parser
	problems []Problem
	// dropped counts the problems beyond maxProblems.
	dropped int

	rule     *Rule           // that is being read; nil at the top
	header   position        // of the rule
	skipping bool            // in a table that does not exist
	seen     map[string]bool // the keys of the table so far
}

// position is an offset into the file.
type position uint32

// parse reads a file's contents, in which rules choose among kinds. The config is
// worth using only if there are no problems.
func parse(name string, data []byte, kinds backend.Table) (*config, []Problem) {
	f := &fileParser{name: name, kinds: kinds, data: data, seen: make(map[string]bool)}
	if i := invalidUTF8(data); i >= 0 {
		f.problem(position(i), "this is not UTF-8 text")
		return &f.config, f.problems
	}
	f.toml.Reset(data)
	for f.toml.NextExpression() {
		switch e := f.toml.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			f.table(e)
		case unstable.KeyValue:
			f.keyValue(e)
		}
	}
	if err := f.toml.Error(); err != nil {
		f.syntax(err)
	} else {
		f.endRule()
	}
	slices.SortStableFunc(f.problems, func(a, b Problem) int { return a.Line - b.Line })
	if f.dropped > 0 {
		f.problems = append(f.problems, Problem{File: name, Text: fmt.Sprintf("and %d more problems", f.dropped)})
	}
	return &f.config, f.problems
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return -1
}

// problem records a problem at an offset.
func (f *fileParser) problem(at position, format string, args ...any) {
	if len(f.problems) >= maxProblems {
		f.dropped++
		return
	}
	before := f.data[:min(int(at), len(f.data))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	f.problems = append(f.problems, Problem{f.name, line, column, clip(fmt.Sprintf(format, args...))})
}

// clip shortens what repeats something endless.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	return string([]rune(s)[:maxText]) + "…"
}

// syntax records the error that ended the parser.
func (f *fileParser) syntax(err error) {
	var pe *unstable.ParserError
	switch {
	case errors.As(err, &pe):
		f.problem(f.within(pe.Highlight), "%s", pe.Message)
	default:
		f.problems = append(f.problems, Problem{File: f.name, Text: err.Error()})
	}
}

// within is the offset of b, a slice of the data; the end of the data if it is
// none.
func (f *fileParser) within(b []byte) position {
	// A slice shares its end with the array, however it was cut.
	at := cap(f.data) - cap(b)
	if at < 0 || at > len(f.data) {
		at = len(f.data)
	}
	return position(at)
}

// key returns a dotted key and where it begins.
func (f *fileParser) key(e *unstable.Node) (string, position) {
	var parts []string
	at := position(0)
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if parts == nil {
			at = position(n.Raw.Offset)
		}
		parts = append(parts, string(n.Data))
	}
	return strings.Join(parts, "."), at
}

// table begins a rule.
func (f *fileParser) table(e *unstable.Node) {
	f.endRule()
	name, at := f.key(e)
	f.seen, f.skipping = make(map[string]bool), true
	switch {
	case name != "rule":
		f.problem(at, "there is no table %q%s", name, didYouMean(name, topKeys[2:]))
	case e.Kind == unstable.Table:
		f.problem(at, "a rule begins with [[rule]], in two pairs of brackets")
	case len(f.rules) >= maxRules:
		f.problem(at, "there are more than %d rules", maxRules)
	default:
		f.skipping = false
		f.header = at
		f.rule = &Rule{Source: f.name, Number: len(f.rules) + 1, Line: f.line(at), file: true}
		f.rules = append(f.rules, f.rule)
	}
}

func (f *fileParser) line(at position) int { return 1 + bytes.Count(f.data[:at], []byte("\n")) }

// endRule checks what can be seen only when a rule is complete.
func (f *fileParser) endRule() {
	if f.rule == nil {
		return
	}
	if !f.seen["action"] {
		f.problem(f.header, `the rule has no action: write action = "allow" or action = "deny"`)
	} else if err := f.rule.check(); err != nil {
		f.problem(f.header, "%v", err)
	}
	f.rule = nil
}

// keyValue reads one line of a table.
func (f *fileParser) keyValue(e *unstable.Node) {
	key, at := f.key(e)
	value := e.Value()
	switch {
	case f.skipping:
		return
	case f.seen[key]:
		f.problem(at, "%q is given twice", key)
		return
	}
	f.seen[key] = true
	known := topKeys
	if f.rule != nil {
		known = fileKeys
	}
	if !slices.Contains(known, key) {
		f.problem(at, "there is no %q here%s", key, f.hint(key, known))
		// One slip is one problem.
		f.seen[Nearest(key, known)] = true
		return
	}
	if f.rule == nil && key == "rule" {
		f.problem(at, "a rule is not written as a value: begin it with a line [[rule]]")
		return
	}
	if key == "iocontrols" {
		f.ioControls(value, at)
		return
	}
	text, err := valueOf(key, value)
	if err == nil {
		err = f.assign(key, text)
	}
	if err != nil {
		f.problem(f.start(value, at), "%v", err)
	}
}

// ioControls reads a list of IOControls, which only files have.
func (f *fileParser) ioControls(list *unstable.Node, at position) {
	if list.Kind != unstable.Array {
		f.problem(f.start(list, at), `iocontrols takes a list such as iocontrols = ["0x00222000 = 0x5413 out 8"]`)
		return
	}
	all := []backend.IOControl{} // an empty list says that there are none
	for it := list.Children(); it.Next(); {
		n := it.Node()
		c, err := backend.ParseIOControl(string(n.Data))
		switch {
		case n.Kind != unstable.String:
			err = errors.New("an element is not a string")
		case err == nil && slices.ContainsFunc(all, func(o backend.IOControl) bool { return o.Code == c.Code }):
			err = fmt.Errorf("IoCode 0x%08X is mapped twice", c.Code)
		case err == nil && len(all) == maxIOControls:
			err = fmt.Errorf("there are more than %d", maxIOControls)
		}
		if err != nil {
			f.problem(f.start(n, at), "iocontrols: %v", err)
			return
		}
		all = append(all, c)
	}
	f.rule.Settings.IOControls = all
}

// hint says what was probably meant by a key that is not known here.
func (f *fileParser) hint(key string, known []string) string {
	switch {
	case f.rule == nil && slices.Contains(fileKeys, key):
		return ": it belongs in a rule, below a line [[rule]]"
	case f.rule != nil && slices.Contains(topKeys, key):
		return ": it belongs before the first [[rule]]"
	}
	return didYouMean(key, known)
}

// start is where a value begins: only scalars say so themselves.
func (f *fileParser) start(value *unstable.Node, key position) position {
	if value.Raw.Length > 0 {
		return position(value.Raw.Offset)
	}
	return key
}

// The keys whose values are not strings, or need not be.
var (
	booleans = []string{"auto", "optional", "read-only"}
	numbers  = limitKeys(false)
	sizes    = limitKeys(true)
)

// valueOf returns a value of the type that the key takes.
func valueOf(key string, value *unstable.Node) (string, error) {
	want, example := unstable.String, `"..."`
	switch {
	case slices.Contains(booleans, key):
		want, example = unstable.Bool, "true"
	case slices.Contains(numbers, key):
		want, example = unstable.Integer, "8"
	case slices.Contains(sizes, key):
		example = `"64K"`
		if value.Kind == unstable.Integer {
			want = unstable.Integer
		}
	case conditionKeys[key] != nil && value.Kind == unstable.Integer:
		example = `"` + strings.TrimPrefix(string(value.Data), "0x") + `"`
	}
	if value.Kind != want {
		return "", fmt.Errorf("%s takes a value such as %s = %s", key, key, example)
	}
	return string(value.Data), nil
}

// assign stores the value of a known key.
func (f *fileParser) assign(key, value string) error {
	switch {
	case key == "auto":
		f.auto = value == flag
	case key == "default":
		var r Rule
		if err := r.setAction(value); err != nil {
			return err
		}
		f.fallback = value
	case key == "action":
		return f.rule.setAction(value)
	case key == "comment":
		f.rule.Comment = value
		if err := checkText(value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	default:
		return f.rule.set(key, value, f.kinds)
	}
	return nil
}
