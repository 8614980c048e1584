// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"log/slog"

	"freerdp-pnpdr/pnp"
)

// Requests and their results are logged at debug level for reports of bugs. Data is
// never logged: it can be a password or a document. The caller asks Session.trace
// first, so that nothing is spent while the level is off.

// traceRequest logs a request that was accepted.
func (r *request) traceRequest() {
	args := []any{"device", r.c.deviceName(), "op", r.Op.String(), "id", r.id, "in", len(r.In), "out", len(r.Out)}
	if r.Op == pnp.OpIOControl {
		args = append(args, "code", fmt.Sprintf("0x%08X", r.Code))
	} else {
		args = append(args, "offset", r.Offset)
	}
	r.c.s.log.Debug("request", args...)
}

// traceReply logs the result of a request, of n bytes.
func (c *ioChannel) traceReply(id requestID, op pnp.Op, hr pnp.HRESULT, n int) {
	c.s.log.Debug("reply", "device", c.deviceName(), "op", op.String(), "id", id, "result", hr.Name(), "bytes", n)
}

// deviceName is the name of the channel's device for the log.
func (c *ioChannel) deviceName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dev == nil {
		return "none"
	}
	return c.dev.name
}

// tracing reports whether requests are to be logged.
func tracing(log *slog.Logger) bool { return log.Enabled(context.Background(), slog.LevelDebug) }
