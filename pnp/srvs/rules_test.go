// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp/devtest/requirements"
)

// ruleTests holds the tests of each requirement by its id: SV of [MS-SRVS], RP of the RPC
// layer below it.
var ruleTests = requirements.Tests{File: "testdata/requirements.csv"}

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
		ruleTests.Add(id, name, f)
	}
}

// TestRequirements runs every test as <id>_<name>.
func TestRequirements(t *testing.T) { ruleTests.Run(t) }

// TestEveryRequirementHasATest: and every test has a requirement.
func TestEveryRequirementHasATest(t *testing.T) {
	ruleTests.Complete(t, func(r requirements.Requirement) bool {
		return r.Role == "pipe" && pipeTests[r.ID] != "" && hasTest(t, pipeFolder, pipeTests[r.ID])
	})
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
