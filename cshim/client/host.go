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

// Settings are what FreeRDP was told about the session; "" for what is not known.
type Settings struct {
	User, Domain string
	Client       string // host name of this machine
	Server       string // the one that the user named
	Drives       []Drive
	Printers     []Printer
}

// Drive is a folder that FreeRDP redirects, and Printer a printer.
type (
	Drive   struct{ Name, Path string }
	Printer struct{ Name, Driver string }
)

// Settings returns what FreeRDP was told about the session. Only an Entry may call it:
// later other threads change the settings. A path of a drive may stand for those that
// FreeRDP finds by itself.
func (h *Host) Settings() Settings {
	text := func(setting C.pnpdr_setting) string { return C.GoString(C.pnpdr_host_string(&h.c, setting)) }
	s := Settings{
		User: text(C.PNPDR_USER), Domain: text(C.PNPDR_DOMAIN),
		Client: text(C.PNPDR_CLIENT_NAME), Server: text(C.PNPDR_SERVER_NAME),
	}
	for i := range min(C.pnpdr_host_devices(&h.c), maxHostDevices) {
		var d C.pnpdr_device
		if C.pnpdr_host_device(&h.c, i, &d) == 0 {
			continue
		}
		name, detail := C.GoString(d.name), C.GoString(d.detail)
		if d.printer != 0 {
			s.Printers = append(s.Printers, Printer{name, detail})
		} else {
			s.Drives = append(s.Drives, Drive{name, detail})
		}
	}
	return s
}

// Account returns the name of this process's user as FreeRDP knows it, or "". It may wait
// for a directory service.
func (h *Host) Account() string {
	var name [C.PNPDR_ACCOUNT]C.char
	if C.pnpdr_host_account(&h.c, &name[0]) == 0 {
		return ""
	}
	return C.GoString(&name[0])
}

// maxHostDevices is how many drives and printers are looked at.
const maxHostDevices = 1024

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
