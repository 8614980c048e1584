package client

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"unsafe"
)

// Host is the FreeRDP that loaded the plugin. It may be used from any
// goroutine, while the process uses FreeRDP.
type Host struct {
	c C.pnpdr_host
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
	if h.c.log == nil {
		fmt.Fprintf(os.Stderr, "pnpdr: %s\n", text)
		return
	}
	cText := C.CString(text)
	defer C.free(unsafe.Pointer(cText))
	C.pnpdr_log(&h.c, level, cText)
}

// handler writes messages and attributes as one line of text.
type handler struct {
	host  *Host
	attrs string
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
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	h.host.log(level(r.Level), b.String())
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.attrs += " " + a.String()
	}
	return &with
}

// WithGroup ignores the name: nothing here uses groups.
func (h *handler) WithGroup(string) slog.Handler { return h }
