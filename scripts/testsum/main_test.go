// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

func feed(t *testing.T, lines ...string) (*summary, string) {
	t.Helper()
	var out bytes.Buffer
	s := newSummary(&out)
	for _, l := range lines {
		s.line([]byte(l))
	}
	s.finish()
	return s, out.String()
}

func TestCountsLeaves(t *testing.T) {
	_, out := feed(t,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"run","Package":"p","Test":"TestA/one"}`,
		`{"Action":"run","Package":"p","Test":"TestA/two"}`,
		`{"Action":"pass","Package":"p","Test":"TestA/one"}`,
		`{"Action":"output","Package":"p","Test":"TestA/two","Output":"    a_test.go:3: no such luck\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA/two","Output":"    --- FAIL: TestA/two (0.00s)\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestA/two"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"fail","Package":"p","Elapsed":1.5}`,
	)
	if !strings.HasSuffix(out, "\n1 passed, 1 failed, 0 skipped\n") {
		t.Errorf("wrong numbers:\n%s", out)
	}
	if !strings.Contains(out, "no such luck") || !strings.Contains(out, "FAIL  p  1.5s\n") {
		t.Errorf("the failure is not shown:\n%s", out)
	}
}

func TestParentFailsAlone(t *testing.T) {
	_, out := feed(t,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"run","Package":"p","Test":"TestA/one"}`,
		`{"Action":"pass","Package":"p","Test":"TestA/one"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"fail","Package":"p"}`,
	)
	if !strings.HasSuffix(out, "\n1 passed, 1 failed, 0 skipped\n") {
		t.Errorf("wrong numbers:\n%s", out)
	}
}

func TestSkipReason(t *testing.T) {
	s, _ := feed(t,
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: needs a client: none here\n"}`,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestA"}`,
		`{"Action":"pass","Package":"p"}`,
	)
	if s.skipped != 1 || s.skips[0] != "needs a client: none here\tp.TestA" {
		t.Errorf("got %d, %q", s.skipped, s.skips)
	}
}

// A package can fail without any test failing (it does not build, TestMain
// exits), and a test can be cut off by the death of the process.
func TestFailuresWithoutVerdict(t *testing.T) {
	for name, lines := range map[string][]string{
		"build": {
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p.go:1: what?\n"}`,
			`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
			`{"Action":"output","Package":"p","Output":"FAIL p [build failed]\n"}`,
			`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
		},
		"old build": {
			`p.go:1: what?`,
			`{"Action":"output","Package":"p","Output":"FAIL p [build failed]\n"}`,
			`{"Action":"fail","Package":"p"}`,
		},
		"crash": {
			`{"Action":"run","Package":"p","Test":"TestA"}`,
			`{"Action":"run","Package":"p","Test":"TestA/one"}`,
			`{"Action":"output","Package":"p","Test":"TestA/one","Output":"what?\n"}`,
			`{"Action":"fail","Package":"p"}`,
		},
		"cut off": {
			`{"Action":"run","Package":"p","Test":"TestA"}`,
			`{"Action":"output","Package":"p","Test":"TestA","Output":"what?\n"}`,
		},
	} {
		_, out := feed(t, lines...)
		if !strings.HasSuffix(out, "\n0 passed, 1 failed, 0 skipped\n") || !strings.Contains(out, "what?") {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}
