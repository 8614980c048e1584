// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/mattn/go-runewidth"

	"freerdp-pnpdr/cmd/internal/cmdline"
)

// table is the layout of rows for a width. The last column is a reason, the one
// before it a name; these two give way.
type table struct {
	widths []int // of all columns but the last
	total  int   // of the terminal; 0 without one
	below  bool  // the reason goes on separate lines
}

const (
	gap      = 2  // between columns
	minName  = 8  // a name is not cut further
	minWidth = 20 // assumed for narrower terminals
)

// cells knows how many columns a character takes: none, one or two.
var cells = runewidth.Condition{StrictEmojiNeutral: true}

// layout finds the widths of the columns.
func layout(head []string, rows [][]string, total int) table {
	last := len(head) - 1
	t := table{widths: make([]int, last), total: total}
	reason := 0
	for _, row := range append([][]string{head}, rows...) {
		for n := range t.widths {
			t.widths[n] = max(t.widths[n], cells.StringWidth(cmdline.Clean(row[n])))
		}
		reason = max(reason, cells.StringWidth(cmdline.Clean(row[last])))
	}
	if total == 0 {
		return t
	}
	t.total = max(total, minWidth)
	columns := gap * last
	for _, w := range t.widths {
		columns += w
	}
	if columns+reason <= t.total {
		return t
	}
	t.below = true
	if over := columns - gap - t.total; over > 0 {
		name := &t.widths[last-1]
		*name = max(*name-over, min(*name, minName))
	}
	return t
}

// line joins the cells of a row, without those that go below.
func (t table) line(row []string) string {
	var b strings.Builder
	for n, w := range t.widths {
		cell := cut(cmdline.Clean(row[n]), w)
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", w-cells.StringWidth(cell)+gap))
	}
	if !t.below {
		b.WriteString(cmdline.Clean(row[len(t.widths)]))
	}
	return strings.TrimRight(b.String(), " ")
}

// print prints a row, its second cell in colour.
func (t table) print(a *app, row []string, c color) {
	line := t.line(row)
	// Colour does not change the width.
	if at := t.widths[0] + gap; c != plain && len(line) >= at+len(row[1]) {
		line = line[:at] + a.paint(c, row[1]) + line[at+len(row[1]):]
	}
	fmt.Fprintln(a.out, line)
	if !t.below {
		return
	}
	indent := strings.Repeat(" ", t.widths[0]+gap)
	for _, part := range wrap(cmdline.Clean(row[len(t.widths)]), t.total-len(indent)) {
		fmt.Fprintln(a.out, indent+a.paint(faint, part))
	}
}

// cut shortens s to a width, with an ellipsis.
func cut(s string, width int) string { return cells.Truncate(s, width, "…") }

// wrap breaks s at spaces into lines of a width; a longer word is broken too.
func wrap(s string, width int) []string {
	width = max(width, minName)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		n := cells.StringWidth(word)
		if line != "" && used+1+n <= width {
			line, used = line+" "+word, used+1+n
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for n > width {
			part := cells.Truncate(word, width, "")
			lines = append(lines, part)
			word = word[len(part):]
			n = cells.StringWidth(word)
		}
		line, used = word, n
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
