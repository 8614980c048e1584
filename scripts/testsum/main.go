// SPDX-License-Identifier: Apache-2.0

// Testsum turns the output of "go test -json" into something to read: a line
// per package, failures in full, and the numbers.
//
//	go test -json ./... 2>&1 | testsum [-counts FILE] [-skips FILE]
//
// A test that has subtests is not counted itself, unless it failed while they
// all passed: the numbers are those of the tests that do the work. A package
// that does not build, or dies outside its tests, counts as one failure.
//
// The last line is "N passed, N failed, N skipped". The same numbers are
// appended to the file of -counts, and for each skipped test its reason, a tab
// and its name to the file of -skips: scripts/test adds up several runs. The
// exit status is 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of "go test -json" (see "go doc test2json").
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events, which have no Package
	Test       string
	Elapsed    float64
	Output     string
}

type key struct{ pkg, test string }

type test struct {
	verdict string // pass, fail, skip; empty while it runs
	output  []string
	parent  bool // has subtests
	blamed  bool // a subtest failed
}

type summary struct {
	out   io.Writer
	tests map[key]*test
	order []key // in which they started
	build map[string][]string

	passed, failed, skipped int
	skips                   []string
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, tests: map[key]*test{}, build: map[string][]string{}}
}

// line takes one line of input; what is not an event (the go command's own
// complaints) is passed on.
func (s *summary) line(b []byte) {
	var e event
	if len(b) == 0 || b[0] != '{' || json.Unmarshal(b, &e) != nil {
		fmt.Fprintf(s.out, "%s\n", b)
		return
	}
	switch {
	case e.Action == "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case e.Action == "build-fail":
		fmt.Fprint(s.out, strings.Join(s.build[e.ImportPath], ""))
	case e.Package == "":
	case e.Test != "":
		s.test(e)
	default:
		s.pkg(e)
	}
}

func (s *summary) at(pkg, name string) *test {
	k := key{pkg, name}
	t := s.tests[k]
	if t == nil {
		t = &test{}
		s.tests[k] = t
		s.order = append(s.order, k)
	}
	return t
}

// parents calls f for each test that name is a subtest of, the nearest first.
func (s *summary) parents(pkg, name string, f func(*test)) {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		// A name may itself hold a slash: then there is no such test.
		if t := s.tests[key{pkg, name[:i]}]; t != nil {
			f(t)
		}
	}
}

func (s *summary) test(e event) {
	t := s.at(e.Package, e.Test)
	switch e.Action {
	case "run":
		s.parents(e.Package, e.Test, func(p *test) { p.parent = true })
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		s.verdict(key{e.Package, e.Test}, t, e.Action)
	}
}

func (s *summary) verdict(k key, t *test, verdict string) {
	t.verdict = verdict
	switch verdict {
	case "pass":
		if !t.parent {
			s.passed++
		}
	case "skip":
		s.skipped++
		s.skips = append(s.skips, reason(t.output)+"\t"+k.pkg+"."+k.test)
	case "fail":
		s.parents(k.pkg, k.test, func(p *test) { p.blamed = true })
		if !t.blamed {
			s.failed++
		}
		if !t.blamed || said(t.output) {
			fmt.Fprintf(s.out, "\n--- %s %s\n%s", k.pkg, k.test, strings.Join(t.output, ""))
		}
	}
	t.output = nil
}

// said tells whether there is more than the lines that "go test" itself writes.
func said(output []string) bool {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") {
			return true
		}
	}
	return false
}

// reason finds what a test said when it skipped itself: the text behind
// "file_test.go:12:", which stands last.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(output[i])
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if _, text, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok = strings.Cut(text, ": "); ok {
				return text
			}
		}
		return line
	}
	return "no reason given"
}

// pkg takes an event of a package as a whole: its result comes after those of
// its tests.
func (s *summary) pkg(e event) {
	t := s.at(e.Package, "")
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass":
		fmt.Fprintf(s.out, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
	case "skip":
		// No test files: not worth a line.
	case "fail":
		if !s.closeOpen(e.Package) {
			s.failed++
		}
		// What killed the process may have been said outside any test.
		fmt.Fprintf(s.out, "\n--- %s\n%s", e.Package, strings.Join(t.output, ""))
		fmt.Fprintf(s.out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
}

// closeOpen fails the tests of a failed package that never came to an end and
// tells whether the failure is one test's.
func (s *summary) closeOpen(pkg string) bool {
	found := false
	// The youngest first: the innermost subtest is to blame.
	for i := len(s.order) - 1; i >= 0; i-- {
		k := s.order[i]
		t := s.tests[k]
		if k.pkg != pkg || k.test == "" {
			continue
		}
		if t.verdict == "" {
			t.output = append(t.output, "did not come to an end\n")
			s.verdict(k, t, "fail")
		}
		found = found || t.verdict == "fail"
	}
	return found
}

// finish ends the report. Tests without a verdict in packages without one mean
// that the stream was cut off.
func (s *summary) finish() {
	for i := len(s.order) - 1; i >= 0; i-- {
		k := s.order[i]
		if t := s.tests[k]; k.test != "" && t.verdict == "" {
			t.output = append(t.output, "did not come to an end\n")
			s.verdict(k, t, "fail")
		}
	}
	sort.Strings(s.skips)
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}

// add appends text to the file called name.
func add(name, text string) error {
	if name == "" || text == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func run(in io.Reader, counts, skips string) (failed bool, err error) {
	s := newSummary(os.Stdout)
	r := bufio.NewReaderSize(in, 1<<16)
	for {
		b, err := r.ReadBytes('\n')
		if len(b) > 0 {
			s.line([]byte(strings.TrimSuffix(string(b), "\n")))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return true, err
		}
	}
	s.finish()
	if err := add(counts, fmt.Sprintf("%d %d %d\n", s.passed, s.failed, s.skipped)); err != nil {
		return true, err
	}
	if len(s.skips) > 0 {
		err = add(skips, strings.Join(s.skips, "\n")+"\n")
	}
	return s.failed > 0, err
}

func main() {
	counts := flag.String("counts", "", "append the numbers to this `file`")
	skips := flag.String("skips", "", "append the skipped tests to this `file`")
	flag.Parse()
	failed, err := run(os.Stdin, *counts, *skips)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}
