// SPDX-License-Identifier: Apache-2.0

package client

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/time/rate"
)

// Host is the FreeRDP that loaded the plugin. It may be used from any
// goroutine, while the process uses FreeRDP.
type Host struct {
	c     C.pnpdr_host
	lines limiter
	turn  turn
}

// limiter bounds the lines of one session, for their pace can be the server's:
// logBurst at once and logRate a second, for each level by itself. Debug lines
// are exempt: whoever asks for them wants them all.
type limiter struct {
	mu      sync.Mutex
	levels  [C.PNPDR_LOG_ERROR + 1]*rate.Limiter
	dropped [C.PNPDR_LOG_ERROR + 1]int
}

const (
	logBurst = 200
	logRate  = 5
)

// allow reports whether a line may be written, and how many were not before it.
func (l *limiter) allow(level C.uint32_t) (ok bool, dropped int) {
	if level <= C.PNPDR_LOG_DEBUG {
		return true, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.levels[level] == nil {
		l.levels[level] = rate.NewLimiter(logRate, logBurst)
	}
	if !l.levels[level].Allow() {
		l.dropped[level]++
		return false, 0
	}
	dropped, l.dropped[level] = l.dropped[level], 0
	return true, dropped
}

// Version returns FreeRDP's version, zeros if it is unknown.
func (h *Host) Version() (major, minor, revision int) {
	return int(h.c.major), int(h.c.minor), int(h.c.revision)
}

// Logger returns a logger that writes to FreeRDP's log, whose level it follows,
// or from Info upwards to stderr if that log cannot be reached.
func (h *Host) Logger() *slog.Logger { return slog.New(&handler{host: h}) }

func (h *Host) active(level C.uint32_t) bool {
	switch C.pnpdr_log_active(&h.c, level) {
	case 0:
		return false
	case 1:
		return true
	}
	return level >= C.PNPDR_LOG_INFO
}

func (h *Host) log(level C.uint32_t, text string) {
	if !h.active(level) {
		return
	}
	ok, dropped := h.lines.allow(level)
	if !ok {
		return
	}
	if dropped > 0 {
		h.print(level, fmt.Sprintf("(%d more lines were left out)", dropped))
	}
	h.print(level, text)
}

func (h *Host) print(level C.uint32_t, text string) {
	cText := C.CString(text)
	defer C.free(unsafe.Pointer(cText))
	C.pnpdr_log(&h.c, level, cText)
}

// handler writes messages and attributes as one line of text.
type handler struct {
	host   *Host
	attrs  string
	prefix string // the groups that are open, each with a dot behind it
}

func level(l slog.Level) C.uint32_t {
	switch {
	case l >= slog.LevelError:
		return C.PNPDR_LOG_ERROR
	case l >= slog.LevelWarn:
		return C.PNPDR_LOG_WARN
	case l >= slog.LevelInfo:
		return C.PNPDR_LOG_INFO
	}
	return C.PNPDR_LOG_DEBUG
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return h.host.active(level(l)) }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	h.host.log(level(r.Level), h.line(r))
	return nil
}

func (h *handler) line(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		write(&b, h.prefix, a)
		return true
	})
	return b.String()
}

// write appends an attribute, a group as its members.
func write(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			write(b, prefix, member)
		}
	case !a.Equal(slog.Attr{}):
		b.WriteString(" " + prefix + a.Key + "=" + v.String())
	}
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		write(&b, h.prefix, a)
	}
	with := *h
	with.attrs += b.String()
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}
