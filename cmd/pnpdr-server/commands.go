// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
)

// command is one command of the script language.
type command struct {
	name  string
	usage string // of the arguments
	about string

	min, max int      // number of arguments
	keywords []string // by position; "" is any argument

	// raw: the rest of the line is one argument, quotes included.
	raw bool
	// inner: another command follows after min arguments. inner says which are
	// allowed.
	inner func(*command) bool

	// One of these carries it out. io is for commands that make one request to
	// a device: they can follow start.
	run func(ctx context.Context, r *runner, st *statement) (result, error)
	io  func(r *runner, st *statement) (operation, error)
}

// commands returns all commands in the order of the help. It is a function
// because help uses it and is part of it.
func commands() []*command {
	return []*command{
		{name: "list", about: "show the devices that the client redirects", run: list},
		{name: "wait-device", usage: "DEVICE [SECONDS]", about: "wait until the device is there", min: 1, max: 2, run: waitDevice},
		{name: "wait-gone", usage: "DEVICE [SECONDS]", about: "wait until the device has gone; it must have been there", min: 1, max: 2, run: waitGone},

		{name: "open", usage: "DEVICE as HANDLE [FIELD=N]...", about: "open the device; the fields of CreateFile are access, share, disposition and flags, version is that of the capabilities", min: 3, max: 8, keywords: []string{"", "as"}, run: open},
		{name: "close", usage: "HANDLE", about: "close the handle", min: 1, max: 1, run: closeHandle},
		{name: "read", usage: "HANDLE OFFSET LENGTH [expect DATA]", about: "read once", min: 3, max: 5, keywords: []string{"", "", "", "expect"}, io: read},
		{name: "write", usage: "HANDLE OFFSET DATA", about: "write once; the device must take everything", min: 3, max: 3, io: write},
		{name: "ioctl", usage: "HANDLE CODE DATA OUTLEN [expect DATA]", about: "send a control code with DATA for input and room for OUTLEN bytes of output", min: 4, max: 6, keywords: []string{"", "", "", "", "expect"}, io: ioctl},
		{name: "events", usage: "HANDLE [COUNT]", about: "show the custom events that have come, or wait for COUNT of them", min: 1, max: 2, run: events},
		{name: "expect-event", usage: "HANDLE GUID DATA", about: "wait for the next custom event, which must be this", min: 3, max: 3, run: expectEvent},

		{name: "start", usage: "NAME COMMAND...", about: "start a read, write or ioctl and go on without waiting for its result", min: 1, inner: func(c *command) bool { return c.io != nil }, run: start},
		{name: "cancel", usage: "NAME", about: "ask the client to cancel what was started", min: 1, max: 1, run: cancel},
		{name: "wait", usage: "NAME", about: "wait for the result of what was started, and succeed or fail as it does", min: 1, max: 1, run: wait},
		{name: "expect-error", usage: "RESULT COMMAND...", about: "succeed if the command fails with this HRESULT, such as ERROR_HANDLE_EOF or 0x80070026, or with closed, the end of the handle", min: 1, inner: func(c *command) bool { return !c.raw && c.inner == nil }, run: expectError},

		{name: "echo", usage: "TEXT", about: "show TEXT as a heading", raw: true, run: echo},
		{name: "shell", usage: "COMMAND...", about: "run sh -c COMMAND on this machine; needs --allow-shell", raw: true, run: shell},
		{name: "disconnect", about: "end the session and the script", run: disconnect},
		{name: "help", usage: "[COMMAND]", about: "describe the commands", max: 1, run: help},
	}
}

// lookup returns nil if there is no such command.
func lookup(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *command) String() string { return strings.TrimSpace(c.name + " " + c.usage) }

func (c *command) misused() error { return fmt.Errorf("usage: %v", c) }

// do carries out the command of st.
func (st *statement) do(ctx context.Context, r *runner) (result, error) {
	if st.cmd.io == nil {
		return st.cmd.run(ctx, r, st)
	}
	op, err := st.cmd.io(r, st)
	if err != nil {
		return result{}, err
	}
	return op(ctx)
}

// describe returns the help on c, in lines.
func (c *command) describe() []string {
	return append([]string{c.String()}, wrap(c.about, 68, "    ")...)
}

// scriptHelp returns the help on the whole language.
func scriptHelp() []string {
	var lines []string
	for _, c := range commands() {
		lines = append(lines, c.describe()...)
	}
	return append(lines,
		"",
		"DEVICE is a name, a hardware id or #ID; HANDLE and NAME are yours to choose.",
		`DATA is "text", hex:DEADBEEF, u32:N (little-endian), guid:GUID, file:PATH, zero:N`,
		"or random:N (N bytes, each time the same), or several of these joined by +.",
		`Numbers may be 0x40 or 64K. Put "quotes" around blanks; \ is special in them.`,
		"A line that begins with # is a comment.")
}

func wrap(text string, width int, indent string) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if line != "" && len(line)+1+len(w) > width {
			lines = append(lines, indent+line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	return append(lines, indent+line)
}

func help(_ context.Context, _ *runner, st *statement) (result, error) {
	if len(st.args) == 0 {
		return result{details: scriptHelp()}, nil
	}
	c := lookup(string(st.args[0]))
	if c == nil {
		return result{}, fmt.Errorf("there is no command %q", string(st.args[0]))
	}
	return result{details: c.describe()}, nil
}
