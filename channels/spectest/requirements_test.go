// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"encoding/csv"
	"os"
	"testing"
)

// requirement is a row of testdata/requirements.csv.
type requirement struct {
	id, section, role, level, text string
}

// specTest is one test of a requirement.
type specTest struct {
	name string
	f    func(t *testing.T)
}

// registered holds the tests of each requirement by its id.
var registered = make(map[string][]specTest)

// add registers f as a test of the requirement id. It is called from init
// functions; a requirement may have several tests.
func add(id, name string, f func(t *testing.T)) {
	for _, other := range registered[id] {
		if other.name == name {
			panic("spectest: two tests are named " + id + "_" + name)
		}
	}
	registered[id] = append(registered[id], specTest{name, f})
}

// TestRequirements runs every registered test as <id>_<name>, in the order of
// the requirements.
func TestRequirements(t *testing.T) {
	for _, r := range readRequirements(t) {
		for _, test := range registered[r.id] {
			t.Run(r.id+"_"+test.name, test.f)
		}
	}
}

// TestEveryRequirementHasATest fails for each requirement without a test, and
// for each test without a requirement, which TestRequirements would not run.
func TestEveryRequirementHasATest(t *testing.T) {
	known := make(map[string]bool)
	for _, r := range readRequirements(t) {
		known[r.id] = true
		if len(registered[r.id]) == 0 {
			t.Errorf("%s has no test: %s (%s)", r.id, r.text, r.section)
		}
	}
	for id, tests := range registered {
		if !known[id] {
			t.Errorf("%s_%s does not test any requirement", id, tests[0].name)
		}
	}
}

func readRequirements(t *testing.T) []requirement {
	t.Helper()
	var list []requirement
	for _, row := range readCSV(t, "testdata/requirements.csv") {
		list = append(list, requirement{row[0], row[1], row[2], row[3], row[4]})
	}
	return list
}

// readCSV returns the rows of a file without its heading.
func readCSV(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(rows) < 2 {
		t.Fatalf("%s: no rows", name)
	}
	return rows[1:]
}
