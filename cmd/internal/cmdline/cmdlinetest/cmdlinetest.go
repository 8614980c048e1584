// SPDX-License-Identifier: Apache-2.0

// Package cmdlinetest holds the documents to the command lines of the programs.
package cmdlinetest

import (
	"regexp"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest"
)

var (
	command = regexp.MustCompile("^[a-z]+")
	option  = regexp.MustCompile("--([a-z-]+)")
)

// Documented fails if a document names a command or an option that root does not have.
func Documented(t *testing.T, root *cobra.Command) {
	t.Helper()
	root.InitDefaultHelpCmd()
	for _, line := range devtest.Commands(t, root.Name()) {
		if name := command.FindString(line); name != "" {
			found, _, err := root.Find([]string{name})
			require.NoError(t, err, line)
			require.NotEqual(t, root, found, line)
		}
		for _, m := range option.FindAllStringSubmatch(line, -1) {
			require.True(t, root.Flags().Lookup(m[1]) != nil || root.PersistentFlags().Lookup(m[1]) != nil, line)
		}
	}
}
