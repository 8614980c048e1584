// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// top returns the project's folder.
func top(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("the test does not run in the project's folder")
	return ""
}

// Document returns a file of the project, by its path from the top.
func Document(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Documented fails the test unless the document says this, wherever its lines end. It is
// for numbers: a test that compares the program with the program's own constant does not
// see that the document promises another one.
func Documented(t testing.TB, name, format string, args ...any) {
	t.Helper()
	blanks := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if sentence := blanks(fmt.Sprintf(format, args...)); !strings.Contains(blanks(Document(t, name)), sentence) {
		t.Errorf("%s does not say %q", name, sentence)
	}
}

// Words returns a time as the documents write it.
func Words(d time.Duration) string {
	switch d {
	case time.Second:
		return "a second"
	case 2 * time.Second:
		return "two seconds"
	case 5 * time.Second:
		return "five seconds"
	case 30 * time.Second:
		return "half a minute"
	case time.Minute:
		return "a minute"
	}
	return fmt.Sprintf("%v seconds", d.Seconds())
}

// Commands returns what follows the name of a program in all documents: its command lines, as
// far as they are on one line.
func Commands(t testing.TB, program string) (lines []string) {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(top(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(docs, filepath.Join(top(t), "README.md")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^ *|`|/)"+program+" ([^`|#&\n]*)").FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, m[1])
		}
	}
	if len(lines) == 0 {
		t.Fatalf("no document has a command line of %s", program)
	}
	return lines
}
