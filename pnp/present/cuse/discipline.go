// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"bytes"
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// The line discipline: what termios(3) says about input and output, as far as a serial
// port needs it. There are no signals (ISIG), since the terminal is nobody's controlling
// terminal.

// input is what has come and was not read yet.
type input struct {
	raw []byte
	// In canonical mode, lines are complete, and edit is the one that comes. A line
	// that EOF ended has no end.
	lines [][]byte
	edit  []byte
}

// maxLine is how long a line may be, as in the kernel; what comes after is dropped.
const maxLine = 4095

func (in *input) len() int {
	n := len(in.raw) + len(in.edit)
	for _, l := range in.lines {
		n += max(len(l), 1)
	}
	return n
}

func canonical(t *unix.Termios) bool { return t.Lflag&unix.ICANON != 0 }

// settle leaves canonical mode if t does.
func (in *input) settle(t *unix.Termios) {
	if canonical(t) || len(in.lines) == 0 && len(in.edit) == 0 {
		return
	}
	before := append(bytes.Join(in.lines, nil), in.edit...)
	*in = input{raw: append(before, in.raw...)}
}

// add takes what has come, and returns what is to be echoed.
func (in *input) add(b []byte, t *unix.Termios) (echo []byte) {
	in.settle(t)
	plain := t.Iflag&(unix.ISTRIP|unix.INLCR|unix.IGNCR|unix.ICRNL|unix.IUCLC|unix.PARMRK) == 0
	if plain && t.Lflag&(unix.ICANON|unix.ECHO) == 0 {
		in.raw = append(in.raw, b...)
		return nil
	}
	for _, c := range b {
		if c, ok := translate(c, t); ok {
			echo = append(echo, in.addOne(c, t)...)
		}
	}
	return echo
}

// translate returns what is to be read for a byte, if anything.
func translate(c byte, t *unix.Termios) (byte, bool) {
	if t.Iflag&unix.ISTRIP != 0 {
		c &= 0x7F
	}
	if t.Iflag&unix.IUCLC != 0 && t.Lflag&unix.IEXTEN != 0 && c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch {
	case c == '\r' && t.Iflag&unix.IGNCR != 0:
		return 0, false
	case c == '\r' && t.Iflag&unix.ICRNL != 0:
		return '\n', true
	case c == '\n' && t.Iflag&unix.INLCR != 0:
		return '\r', true
	}
	return c, true
}

func (in *input) addOne(c byte, t *unix.Termios) (echo []byte) {
	if t.Lflag&unix.ECHO != 0 || t.Lflag&unix.ECHONL != 0 && c == '\n' && canonical(t) {
		echo = appendOutput(nil, []byte{c}, t)
	}
	put := func(b *[]byte) {
		if c == 0xFF && t.Iflag&unix.PARMRK != 0 {
			*b = append(*b, c)
		}
		*b = append(*b, c)
	}
	if !canonical(t) {
		put(&in.raw)
		return echo
	}
	is := func(which int) bool { return c == t.Cc[which] && c != 0 }
	switch {
	case is(unix.VERASE), is(unix.VKILL):
		return in.erase(is(unix.VKILL), t)
	case is(unix.VEOF):
		in.endLine()
		return nil
	case c == '\n', is(unix.VEOL), is(unix.VEOL2) && t.Lflag&unix.IEXTEN != 0:
		put(&in.edit)
		in.endLine()
	case len(in.edit) < maxLine:
		put(&in.edit)
	}
	return echo
}

func (in *input) endLine() {
	in.lines = append(in.lines, in.edit)
	in.edit = nil
}

// erase takes back the last character, or the whole line.
func (in *input) erase(all bool, t *unix.Termios) (echo []byte) {
	n := min(len(in.edit), 1)
	if all {
		n = len(in.edit)
	}
	in.edit = in.edit[:len(in.edit)-n]
	if t.Lflag&(unix.ECHO|unix.ECHOE) == unix.ECHO|unix.ECHOE {
		echo = bytes.Repeat([]byte("\b \b"), n)
	}
	return echo
}

// take returns at most size bytes: in canonical mode, of one line.
func (in *input) take(size int, t *unix.Termios) []byte {
	from := &in.raw
	if canonical(t) && len(in.lines) > 0 {
		from = &in.lines[0]
	}
	n := min(size, len(*from))
	b := bytes.Clone((*from)[:n])
	*from = (*from)[n:]
	if len(*from) > 0 {
		return b
	}
	if from == &in.raw {
		in.raw = nil
	} else {
		in.lines = in.lines[1:]
	}
	return b
}

// ready reports whether a read of size bytes need not wait.
func (in *input) ready(size int, t *unix.Termios) bool {
	in.settle(t)
	if canonical(t) {
		return len(in.lines) > 0 || len(in.raw) > 0
	}
	return len(in.raw) >= max(min(int(t.Cc[unix.VMIN]), size), 1)
}

// readable is what poll(2) says: it does not wait for VMIN if there is VTIME.
func (l *line) readable() bool {
	t := l.v.termios
	if t.Cc[unix.VTIME] != 0 {
		t.Cc[unix.VMIN] = 1
	}
	return l.ended || l.in.ready(maxTransfer, &t)
}

// read reads as termios(3) says. The driver's mutex is held, but not meanwhile.
func (l *line) read(ctx context.Context, size int, nonblock bool) ([]byte, error) {
	t := &l.v.termios
	interval := func() time.Duration { return time.Duration(t.Cc[unix.VTIME]) * 100 * time.Millisecond }
	var until time.Time
	if t.Cc[unix.VMIN] == 0 {
		until = time.Now().Add(interval())
	}
	for seen := 0; ; {
		timed := !canonical(t)
		has := l.in.len()
		if timed && t.Cc[unix.VMIN] > 0 && t.Cc[unix.VTIME] > 0 && has > seen {
			seen, until = has, time.Now().Add(interval())
		}
		switch {
		case size == 0:
			return nil, nil
		case l.in.ready(size, t), l.ended,
			timed && !until.IsZero() && !time.Now().Before(until),
			nonblock && timed && has > 0:
			b := l.in.take(size, t)
			l.v.changed.Broadcast() // there is room
			return b, nil
		case nonblock:
			return nil, unix.EAGAIN
		}
		if !timed {
			until = time.Time{}
		}
		if err := l.v.sleep(ctx, until); err != nil {
			return nil, err
		}
	}
}

// appendOutput appends what is to be sent for b.
func appendOutput(out, b []byte, t *unix.Termios) []byte {
	if t.Oflag&unix.OPOST == 0 {
		return append(out, b...)
	}
	for _, c := range b {
		switch {
		case c == '\n' && t.Oflag&unix.ONLCR != 0:
			out = append(out, '\r', '\n')
		case c == '\r' && t.Oflag&unix.OCRNL != 0:
			out = append(out, '\n')
		default:
			out = append(out, c)
		}
	}
	return out
}
