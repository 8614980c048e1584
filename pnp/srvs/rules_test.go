// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
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

// pipeTests are the tests of the pipe device below, in pipeFolder, that test the
// requirements of the role pipe.
var pipeTests = map[string]string{
	"RP-01": "TestServe",
	"RP-02": "TestServe",
	"RP-03": "TestMessageMode",
	"RP-04": "TestServe",
	"RP-05": "TestMessageMode",
	"RP-06": "TestSuite",
	"RP-07": "TestServe",
	"RP-08": "TestTransceive",
	"RP-09": "TestTransceive",
	"RP-10": "TestTransceive",
	"RP-11": "TestPeek",
	"RP-12": "TestServe",
	"RP-13": "TestBounds",
}

const pipeFolder = "../backend/pipe"

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
		if r.role == "pipe" {
			if test := pipeTests[r.id]; test == "" || !hasTest(t, pipeFolder, test) {
				t.Errorf("%s has no test in %s: %s (%s)", r.id, pipeFolder, r.text, r.section)
			}
		} else if len(ruleTests[r.id]) == 0 {
			t.Errorf("%s has no test: %s (%s)", r.id, r.text, r.section)
		}
	}
	for id, tests := range ruleTests {
		if !known[id] {
			t.Errorf("%s_%s does not test any requirement", id, tests[0].name)
		}
	}
}

// hasTest tells whether a folder has a test of that name.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("\nfunc "+name+"(")) {
			return true
		}
	}
	return false
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
