// SPDX-License-Identifier: Apache-2.0

package devtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Document returns a file of the project, by its path from the top.
func Document(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the test does not run in the project's folder")
		}
		dir = filepath.Dir(dir)
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
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
