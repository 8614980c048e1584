// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest"
)

// TestDocs reads every example of docs/rules.md and the one of docs/devices.md, and looks for
// every key in docs/rules.md.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile("../../docs/rules.md")
	require.NoError(t, err)
	text := string(data)

	files := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, files)
	example := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(devtest.Document(t, "docs/devices.md"), -1)
	require.NotEmpty(t, example)
	for _, m := range append(files, example...) {
		_, problems := parse("docs", []byte(m[1]), table)
		assert.Empty(t, problems, m[1])
	}
	lines := regexp.MustCompile(`(?m)^/dvc:pnpdr,(\S+)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, lines)
	for _, m := range lines {
		p, problems := Load(Files{}, options(t, strings.Split(m[1], ",")...))
		assert.Empty(t, problems)
		assert.False(t, p.Idle(), m[1])
	}
	for _, key := range append(append(topKeys[:2:2], fileKeys...), table.Choices()...) {
		told := regexp.MustCompile("`" + key + "\\b|(?m)^" + key + " ").MatchString(text)
		assert.True(t, told, key)
	}
}
