// SPDX-License-Identifier: Apache-2.0

// Package manpages writes the manual pages of a program from its cobra
// commands: one for the program, one for each command, and one for each topic of
// its help.
//
// A program uses it in a second main function behind the build tag man, so that
// the code that renders pages is not part of the program that is installed:
//
//	go run -tags man ./cmd/pnpdr DIR
package manpages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Main writes the pages of root to the folder that is the program's only
// argument.
func Main(root *cobra.Command) {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags man PROGRAM DIR")
		os.Exit(2)
	}
	if err := Write(root, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Write writes the pages of c and of the commands below it to dir. It changes
// the commands, so they cannot be run afterwards. The pages have no date: the same
// commands always give the same pages.
func Write(c *cobra.Command, dir string) error {
	c.DisableAutoGenTag = true
	markdown(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			if err := Write(sub, dir); err != nil {
				return err
			}
		}
	}
	never := time.Time{}
	header := &doc.GenManHeader{Section: "1", Date: &never, Source: "freerdp-pnpdr", Manual: "User Commands"}
	var page bytes.Buffer
	if err := doc.GenMan(c, header, &page); err != nil {
		return err
	}
	text := bytes.Replace(page.Bytes(), []byte(never.Format(`"Jan 2006"`)), []byte(`""`), 1)
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	return os.WriteFile(filepath.Join(dir, name), text, 0o644)
}

// markdown turns the description of c into the Markdown that package doc expects. A
// topic is shown verbatim, any other description as paragraphs.
func markdown(c *cobra.Command) {
	if c.IsAdditionalHelpTopicCommand() {
		c.DisableFlagsInUseLine = true
		c.Long = "```\n" + c.Long + "\n```"
		return
	}
	c.Long = strings.NewReplacer(`*`, `\*`, `_`, `\_`, `<`, `\<`, `[`, `\[`).Replace(c.Long)
}
