// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// color is the code of a way to print text on a terminal.
type color string

const (
	plain  color = ""
	bold   color = "1"
	faint  color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// paint returns s in a colour if the output shows colours.
func (a *app) paint(c color, s string) string {
	if !a.color || c == plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// terminal returns the width of f and whether to use colours: 0 and false if it
// is no terminal.
func terminal(f *os.File) (width int, color bool) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	isTerminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		isTerminal = err == nil
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); isTerminal && err == nil {
			width = int(size.Col)
		}
	})
	if err != nil || !isTerminal {
		return 0, false
	}
	return width, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
