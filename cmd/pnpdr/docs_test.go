// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/redirect"
)

// eachDocument calls check with every document of the project. It takes what check
// counts, and fails if that is nothing in all of them.
func eachDocument(t *testing.T, check func(t *testing.T, path, text string) int) {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	found := 0
	for _, path := range append(paths, "../../README.md", "../../CONTRIBUTING.md", "../../build/README.md") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		t.Run(filepath.Base(path), func(t *testing.T) { found += check(t, path, string(text)) })
	}
	require.NotZero(t, found)
}

// matches returns what the first group of the pattern matches.
func matches(pattern, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestDocumentedOptions parses every example of /dvc:pnpdr as the plugin does.
func TestDocumentedOptions(t *testing.T) {
	eachDocument(t, func(t *testing.T, _, text string) int {
		examples := matches("/dvc:pnpdr,([^\\s'`\"]+)", text)
		for _, words := range examples {
			assert.Empty(t, redirect.ParseOptions(strings.Split(words, ","), kinds.All()).Problems, words)
		}
		return len(examples)
	})
	// The README lists options without values, and a name for some.
	_, table, found := strings.Cut(documentText(t, "README.md"), "| option | meaning |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	words := matches("`([a-z]+)[^`]*`", strings.Join(matches(`(?m)^\| ([^|]*)\|`, table), " "))
	require.Len(t, words, 9)
	for _, word := range words {
		for _, p := range redirect.ParseOptions([]string{"loopback", word}, kinds.All()).Problems {
			assert.False(t, errors.Is(p.Err, redirect.ErrNoOption), word)
		}
	}
}

// TestDocumentedCommands looks for the commands of pnpdr, and for scripts.
func TestDocumentedCommands(t *testing.T) {
	var commands []string
	for _, c := range (&app{kinds: kinds.All()}).command().Commands() {
		commands = append(commands, c.Name())
	}
	eachDocument(t, func(t *testing.T, _, text string) int {
		words := matches("(?m)(?:^|`)(?:out/)?pnpdr ([a-z]+)", text)
		for _, word := range words {
			if word != "shows" { // a sentence that begins a line
				assert.Contains(t, commands, word)
			}
		}
		return len(words)
	})
	eachDocument(t, func(t *testing.T, _, text string) int {
		scripts := matches(`(?:^|[\s\x60(])(scripts/[a-z/.]*[a-z])`, text)
		for _, script := range scripts {
			assert.FileExists(t, filepath.Join("../..", script))
		}
		return len(scripts)
	})
}

// TestDocumentedLinks follows the links to other files, and to headings.
func TestDocumentedLinks(t *testing.T) {
	eachDocument(t, func(t *testing.T, path, text string) int {
		links := slices.DeleteFunc(matches(`\]\(([^)]*)\)`, text), func(link string) bool { return strings.Contains(link, "://") })
		for _, link := range links {
			name, anchor, _ := strings.Cut(link, "#")
			target := path
			if name != "" {
				target = filepath.Join(filepath.Dir(path), name)
			}
			_, err := os.Stat(target)
			assert.NoError(t, err)
			if anchor != "" {
				text, err := os.ReadFile(target)
				assert.NoError(t, err)
				assert.Contains(t, anchors(string(text)), anchor, link)
			}
		}
		return len(links)
	})
}

// anchors returns what GitHub makes of the headings of a document.
func anchors(text string) (all []string) {
	dropped := regexp.MustCompile(`[^\pL\pN _-]`)
	for _, heading := range matches(`(?m)^#+ +(.*)$`, text) {
		all = append(all, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(heading), ""), " ", "-"))
	}
	return all
}

// TestDocumentedMessages looks in the sources for the messages that the tables of
// docs/troubleshooting.md and docs/agent.md explain.
func TestDocumentedMessages(t *testing.T) {
	says := sources(t, "pnp", "channels", "plugin", "cmd")
	for document, head := range map[string]string{
		"docs/troubleshooting.md": "| the log says | what to do |\n",
		"docs/agent.md":           "## If something is missing\n",
	} {
		_, table, found := strings.Cut(documentText(t, document), head)
		require.True(t, found, document)
		messages := matches("(?m)^\\| `([^`]*)`", table)
		require.NotEmpty(t, messages, document)
		for _, message := range messages {
			// What follows in brackets is added when the program runs.
			message, _, _ = strings.Cut(message, " (")
			switch message {
			case "open /dev/uhid": // made of two parts
				assert.True(t, says(`"open "+path`) && says(`openKernel("/dev/uhid")`))
			default:
				assert.True(t, says(message), "%s: %s", document, message)
			}
		}
	}
}

// TestDocumentedVariables: docs/testing.md has every variable that whoever runs a test
// may set.
func TestDocumentedVariables(t *testing.T) {
	// What tests and scripts set for the programs that they start.
	own := regexp.MustCompile(`^PNPDR_(TEST_.*|XRDP_(IN_.*|WORKER|BENCH)|FUSE.*|SRVS_RPCCLIENT|WITHOUT_LIBUSB|PLUGIN_ASAN|SHARED|VM)$`)
	testing, held := documentText(t, "docs/testing.md"), 0
	for _, dir := range []string{"build", "channels", "cmd", "cshim", "plugin", "pnp", "scripts"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasPrefix(path, "../../build/cmake/") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range matches(`["{](PNPDR_[A-Z0-9_]+)["}:]`, string(text)) {
				if !own.MatchString(name) {
					held++
					assert.Contains(t, testing, "`"+name+"`", path)
				}
			}
			return err
		}))
	}
	require.Greater(t, held, 10)
}

// sources returns a function that looks for a text in the sources, without the tests.
func sources(t *testing.T, dirs ...string) func(string) bool {
	var all strings.Builder
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		}))
	}
	return func(text string) bool { return strings.Contains(all.String(), text) }
}

// TestExamples: every package that others can import has an example.
func TestExamples(t *testing.T) {
	const top = "../.."
	held := 0
	for _, folder := range []string{"channels", "cshim", "pnp"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(top, folder), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.IsDir():
				return err
			case d.Name() == "internal" || d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test"): // test: helpers of tests
				return fs.SkipDir
			}
			packages, err := parser.ParseDir(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			public, example := false, false
			for _, p := range packages {
				for name, file := range p.Files {
					test := strings.HasSuffix(name, "_test.go")
					example = example || test && len(doc.Examples(file)) > 0
					public = public || !test && p.Name != "main" && ast.FileExports(file)
				}
			}
			if public {
				held++
				assert.True(t, example, "%s has no example", path)
			}
			return nil
		}))
	}
	require.Greater(t, held, 30)
}
