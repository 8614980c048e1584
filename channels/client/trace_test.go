// SPDX-License-Identifier: Apache-2.0

package client

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/wire"
)

// TestTrace: at debug level each request and its result are logged, without the data;
// otherwise neither is.
func TestTrace(t *testing.T) {
	const secret = "correct horse battery staple"
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		t.Run(level.String(), func(t *testing.T) {
			d := &testDevice{handle: testHandle{try: func(r *pnp.Request) bool {
				r.Complete(pnp.S_OK, map[pnp.Op]int{pnp.OpRead: copy(r.Out, secret), pnp.OpWrite: len(r.In), pnp.OpIOControl: len(r.Out)}[r.Op])
				return true
			}}}
			s, _ := newTestSession(t, pnp.SessionLimits{}, d)
			var log devtest.Output
			s.log = log.Logger(level)
			s.trace = tracing(s.log)
			c, _ := openChannel(t, s)
			for _, m := range [][]byte{
				read(7, 64),
				wire.WriteRequest{RequestID: 8, Offset: 16, Data: []byte(secret)}.Append(nil),
				wire.IOControlRequest{RequestID: 9, IoCode: 0x222440, CbOut: 4, DataIn: []byte(secret)}.Append(nil),
				wire.IOControlRequest{RequestID: 10, IoCode: 0x222440, CbOut: 1 << 30}.Append(nil),
			} {
				require.NoError(t, c.Receive(m))
			}
			var traced []string
			for _, line := range strings.Split(log.String(), "\n") {
				require.NotContains(t, line, "correct")
				if _, line, ok := strings.Cut(line, "level=DEBUG "); ok {
					traced = append(traced, line)
				}
			}
			if level == slog.LevelInfo {
				require.Empty(t, traced)
				return
			}
			require.Equal(t, []string{
				`msg=request device=test op=Read id=7 in=0 out=64 offset=0`,
				`msg=reply device=test op=Read id=7 result=S_OK bytes=28`,
				`msg=request device=test op=Write id=8 in=28 out=0 offset=16`,
				`msg=reply device=test op=Write id=8 result=S_OK bytes=28`,
				`msg=request device=test op=IOControl id=9 in=28 out=4 code=0x00222440`,
				`msg=reply device=test op=IOControl id=9 result=S_OK bytes=4`,
				`msg=reply device=test op=IOControl id=10 result=ERROR_NO_SYSTEM_RESOURCES bytes=0`,
			}, traced)
		})
	}
}
