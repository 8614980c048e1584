// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"
)

// requirement is a row of testdata/requirements.csv: SV of [MS-SRVS], RP of the RPC
// layer below it.
type requirement struct{ id, section, role, level, text string }

// ruleTest is one test of a requirement.
type ruleTest struct {
	name string
	f    func(t *testing.T)
}

// ruleTests holds the tests of each requirement by its id.
var ruleTests = make(map[string][]ruleTest)

// pipeRules are tested where the pipe device is: under their ids in pipeTests.
const pipeTests = "../backend/pipe"

// rule registers f as a test of the requirements ids, which stand with blanks
// between them. It is called from init functions.
func rule(ids, name string, f func(t *testing.T)) {
	for _, id := range strings.Fields(ids) {
		ruleTests[id] = append(ruleTests[id], ruleTest{name, f})
	}
}

// TestRequirements runs every test as <id>_<name>, in the order of the requirements.
func TestRequirements(t *testing.T) {
	for _, r := range readRequirements(t) {
		for _, test := range ruleTests[r.id] {
			t.Run(r.id+"_"+test.name, test.f)
		}
	}
}

// TestEveryRequirementHasATest fails for each requirement without a test, and for
// each test without a requirement, which TestRequirements would not run.
func TestEveryRequirementHasATest(t *testing.T) {
	known := make(map[string]bool)
	for _, r := range readRequirements(t) {
		known[r.id] = true
		if len(ruleTests[r.id]) == 0 && r.role != "pipe" {
			t.Errorf("%s has no test: %s (%s)", r.id, r.text, r.section)
		}
	}
	for id, tests := range ruleTests {
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
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows[1:]
}
