// SPDX-License-Identifier: Apache-2.0

// Package requirements keeps tests under the ids of what they test: the requirements of a
// specification, which are the rows of a CSV file. Only tests import it.
package requirements

import (
	"encoding/csv"
	"os"
	"slices"
	"testing"
)

// Requirement is a row of the file.
type Requirement struct{ ID, Section, Role, Level, Text string }

// Tests are the tests of the requirements in File. Its methods are called from one
// goroutine.
type Tests struct {
	File  string
	tests map[string][]test
}

type test struct {
	name string
	f    func(t *testing.T)
}

// Add adds a test of a requirement, which may have several. It is for init functions, and
// panics if two have the same name.
func (x *Tests) Add(id, name string, f func(t *testing.T)) {
	if slices.ContainsFunc(x.tests[id], func(other test) bool { return other.name == name }) {
		panic("two tests are named " + id + "_" + name)
	}
	if x.tests == nil {
		x.tests = make(map[string][]test)
	}
	x.tests[id] = append(x.tests[id], test{name, f})
}

// Run runs every test as <id>_<name>, in the order of the requirements.
func (x *Tests) Run(t *testing.T) {
	for _, r := range x.read(t) {
		for _, test := range x.tests[r.ID] {
			t.Run(r.ID+"_"+test.name, test.f)
		}
	}
}

// Complete fails the test for each requirement without a test, and for each test without
// a requirement, which Run would not run. elsewhere, if any, tells of requirements that
// another package tests.
func (x *Tests) Complete(t *testing.T, elsewhere func(r Requirement) bool) {
	t.Helper()
	known := make(map[string]bool)
	for _, r := range x.read(t) {
		known[r.ID] = true
		if len(x.tests[r.ID]) == 0 && (elsewhere == nil || !elsewhere(r)) {
			t.Errorf("%s has no test: %s (%s)", r.ID, r.Text, r.Section)
		}
	}
	for id, tests := range x.tests {
		if !known[id] {
			t.Errorf("%s_%s does not test any requirement", id, tests[0].name)
		}
	}
}

func (x *Tests) read(t *testing.T) (list []Requirement) {
	t.Helper()
	for _, row := range ReadCSV(t, x.File) {
		list = append(list, Requirement{row[0], row[1], row[2], row[3], row[4]})
	}
	return list
}

// ReadCSV returns the rows of a file without its heading.
func ReadCSV(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows[1:]
}
