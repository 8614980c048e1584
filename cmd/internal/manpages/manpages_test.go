// SPDX-License-Identifier: Apache-2.0

package manpages

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

func tree() *cobra.Command {
	root := &cobra.Command{Use: "tool", Short: "Do things", Long: "See a_b_c and usb:*:* [MS-X].", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(
		&cobra.Command{Use: "words", Short: "What words mean", Long: "one\n    the *first*\n\ntwo\n    <the> second"},
		&cobra.Command{Use: "old", Hidden: true, Run: func(*cobra.Command, []string) {}},
	)
	return root
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Write(tree(), dir))
	files, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	require.Equal(t, []string{dir + "/tool-words.1", dir + "/tool.1"}, files)

	page, err := os.ReadFile(dir + "/tool.1")
	require.NoError(t, err)
	require.Contains(t, string(page), `.TH "TOOL" "1" "" "freerdp-pnpdr"`)
	require.Contains(t, string(page), "See a_b_c and usb:*:* [MS-X].")
	require.NotContains(t, string(page), "HISTORY")

	page, err = os.ReadFile(dir + "/tool-words.1")
	require.NoError(t, err)
	require.Contains(t, string(page), "one\n    the *first*\n\ntwo\n    <the> second\n")

	again := t.TempDir()
	require.NoError(t, Write(tree(), again))
	same, err := os.ReadFile(again + "/tool-words.1")
	require.NoError(t, err)
	require.Equal(t, string(page), string(same))

	require.Error(t, Write(tree(), dir+"/none"))
}
