// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cmd/internal/cmdline/cmdlinetest"
	"freerdp-pnpdr/pnp/devtest"
)

const document = "docs/server.md"

// TestDocumentedScript runs the script of the document.
func TestDocumentedScript(t *testing.T) {
	_, script, found := strings.Cut(devtest.Document(t, document), "A script, one command a line:\n\n```\n")
	require.True(t, found)
	script, _, _ = strings.Cut(script, "```")
	out, err := newRemote(t).play(t, runOptions{}, script)
	require.NoError(t, err, out)
	require.Contains(t, out, fmt.Sprintf("\n%d commands, all as expected\n", strings.Count(script, "\n")))
}

// TestDocumentedGo compiles the examples in Go.
func TestDocumentedGo(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling is left out of -short")
	}
	examples := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(devtest.Document(t, document), -1)
	require.Len(t, examples, 2)
	source := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(source, []byte(`package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/xrdp"
	rdp "freerdp-pnpdr/cshim/server"
)

func reference() {
`+examples[0][1]+`
	_, _ = srv, err
}

func inside(ctx context.Context, log *slog.Logger) error {
`+examples[1][1]+`
	_ = role
	return nil
}

func main() {
	reference()
	_ = inside(context.Background(), nil)
}
`), 0o600))
	out, err := exec.Command("go", "vet", "-tags", buildTags, source).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestDocumentedCommands: the options and commands of the documents exist.
func TestDocumentedCommands(t *testing.T) { cmdlinetest.Documented(t, (&cli{}).command()) }
