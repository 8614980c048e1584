// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// transcript is the program's output. Its methods may be called from any
// goroutine; each call writes its lines together.
type transcript struct {
	mu sync.Mutex
	w  io.Writer
	// typed: the commands come from a terminal, which shows them.
	typed bool
}

// result is what a command reports when it succeeds.
type result struct {
	summary string
	details []string
}

func summary(format string, args ...any) result {
	return result{summary: fmt.Sprintf(format, args...)}
}

func (t *transcript) write(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// If nobody reads it any more, nobody would see an error either.
	_, _ = io.WriteString(t.w, strings.Join(lines, "\n")+"\n")
}

// note reports something that no command caused.
func (t *transcript) note(format string, args ...any) {
	t.write(fmt.Sprintf(format, args...))
}

func (t *transcript) heading(text string) { t.write("", "== "+text) }

// prompt asks for a command if somebody types them.
func (t *transcript) prompt() {
	if t.typed {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, _ = io.WriteString(t.w, "> ")
	}
}

// command shows a command before it is carried out.
func (t *transcript) command(text string) {
	if !t.typed {
		t.write("> " + text)
	}
}

// done shows the result of a command, and how long it took.
func (t *transcript) done(r result, took time.Duration) {
	var lines []string
	if r.summary != "" {
		lines = append(lines, fmt.Sprintf("  %s  (%s)", r.summary, short(took)))
	}
	for _, d := range r.details {
		lines = append(lines, "  "+d)
	}
	if len(lines) > 0 {
		t.write(lines...)
	}
}

// failed shows why a command failed, and what it returned all the same.
func (t *transcript) failed(r result, err error) {
	lines := []string{"  FAILED: " + err.Error()}
	for _, d := range r.details {
		lines = append(lines, "  "+d)
	}
	t.write(lines...)
}

// short rounds to what a reader cares about.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// shown is how many bytes of a dump are shown.
const shown = 64

// dump shows a short text as it is, and the start of anything else in lines of
// 16 bytes.
func dump(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	if len(data) <= shown {
		if s, ok := quoted(data); ok {
			return []string{s}
		}
	}
	text := strings.TrimSuffix(hex.Dump(data[:min(len(data), shown)]), "\n")
	lines := strings.Split(text, "\n")
	if rest := len(data) - shown; rest > 0 {
		lines = append(lines, fmt.Sprintf("... and %d bytes more", rest))
	}
	return lines
}

// brief shows data in a few words.
func brief(data []byte) string {
	const most = 32
	if len(data) > most {
		return fmt.Sprintf("%d bytes", len(data))
	}
	if s, ok := quoted(data); ok {
		return s
	}
	return "hex:" + hex.EncodeToString(data)
}

// quoted returns data in quotes if it is readable text.
func quoted(data []byte) (s string, ok bool) {
	for _, r := range string(data) {
		if r == utf8.RuneError || !strconv.IsGraphic(r) && !strings.ContainsRune("\t\r\n", r) {
			return "", false
		}
	}
	return strconv.Quote(string(data)), true
}

// clean makes a text from the client safe for a terminal, which it could
// otherwise control.
func clean(s string) string {
	for _, r := range s {
		if !strconv.IsGraphic(r) || r == utf8.RuneError {
			return strconv.Quote(s)
		}
	}
	return s
}
