// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// TestTerminalsAreRestored has 60 terminals in use when the session ends, at
// the default log level: by the time the client has ended, each has its old
// settings again, whichever side ends the session.
func TestTerminalsAreRestored(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		for _, killed := range []bool{false, true} {
			const terminals = 60
			var options []string
			var masters []int
			for i := range terminals {
				master, path := devtest.OpenPTY(t)
				kind := []string{"char", "serial"}[i%2]
				options = append(options, fmt.Sprintf("%s:%s,name:tty%d", kind, path, i))
				raw, err := master.SyscallConn()
				require.NoError(t, err)
				require.NoError(t, raw.Control(func(fd uintptr) { masters = append(masters, int(fd)) }))
			}
			settings := func() (all []unix.Termios) {
				for _, fd := range masters {
					s, err := unix.IoctlGetTermios(fd, unix.TCGETS)
					require.NoError(t, err)
					all = append(all, *s)
				}
				return all
			}
			before := settings()

			o := f.clientOptions(strings.Join(options, ","), "-auto-reconnect")
			o.Args = slices.DeleteFunc(o.Args, func(arg string) bool { return strings.HasPrefix(arg, "/log-filters") })
			c := servertest.StartClient(t, o)
			r := f.next(c)
			for i := range terminals {
				h := r.open(fmt.Sprintf("tty%d", i))
				go h.ReadAt(context.Background(), make([]byte, 16), 0)
			}
			for i, s := range settings() {
				require.NotEqual(t, before[i], s, "terminal %d is not raw", i)
			}
			if killed {
				r.peer.Kill()
			} else {
				close(r.end)
			}
			_ = c.Wait() // the exit code tells who disconnected
			for i, s := range settings() {
				require.Equal(t, before[i], s, "terminal %d", i)
			}
			require.NotContains(t, c.Output(), "does not answer")
		}
	})
}
