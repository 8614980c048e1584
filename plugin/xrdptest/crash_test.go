// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// What is tested if nobody takes the time for more.
const (
	defaultKills = 1 // of each program
	defaultSoak  = 6 // seconds
)

func TestDocumentedNumbers(t *testing.T) {
	devtest.Documented(t, "docs/testing.md", "for how many seconds `TestSoak` goes on: %d, any and %d;", defaultKills, defaultSoak)
}

// number returns the value of a variable, or what it is without, and the clients to test
// with: all of them if somebody takes the time.
func number(t testing.TB, variable string, otherwise int) (n int, majors []int) {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise, []int{3}
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n, []int{3, 2}
}

// TestKill kills the agent, the client and the parts of the server at random points
// while programs use the devices. PNPDR_KILLS says how often each, PNPDR_SEED at which
// points.
func TestKill(t *testing.T) {
	needAgent(t)
	kills, majors := number(t, "PNPDR_KILLS", defaultKills)
	seed, _ := number(t, "PNPDR_SEED", int(time.Now().UnixNano()&0xFFFFFF))
	withClients(t, majors, func(t *testing.T, x *xrdpServer, binary string) {
		t.Logf("PNPDR_SEED=%d", seed)
		at := rand.New(rand.NewPCG(uint64(seed), 0))
		wait := func() { time.Sleep(time.Duration(at.IntN(600)) * time.Millisecond) }
		dev := newClient(t)
		var c *servertest.Client
		var s *session
		var a *agent
		connect := func() {
			c, s = x.connect(t, binary, alice, dev.args())
		}
		check := func(what string, n int) {
			t.Helper()
			s.waitFor(t, "card/data", "meter/tty")
			require.Len(t, s.mounts(t), 1, "after killing %s %d times", what, n)
			require.Equal(t, dev.hash+"  -", s.run(t, readBack))
			require.Equal(t, "21.5 C", s.run(t, askByPython))
			dev.unharmed(t)
		}
		connect()
		a = s.startAgent(t)
		check("nothing", 0)

		for i := range kills {
			holdDevices(t, s, func() {
				wait()
				a.kill()
			})
			wait()
			a = s.startAgent(t)
			check("the agent", i+1)
		}
		for i := range kills {
			a.losesClient(t, func() {
				holdDevices(t, s, func() {
					wait()
					c.Kill()
					<-c.Done()
				})
			})
			wait()
			connect()
			check("the client", i+1)
		}
		parts := []string{"xrdp-chansrv", "Xorg", "xrdp", "xrdp-sesman"}
		for i := range kills {
			part := parts[at.IntN(len(parts))]
			holdDevices(t, s, func() {
				wait()
				killAll(t, part)
				wait()
				killAll(t, parts...)
			})
			require.NoError(t, a.wait(t, "its session has been killed"), a.text())
			require.Empty(t, s.mounts(t))
			c.Kill()
			<-c.Done()
			endAll(t)
			x.start()
			connect()
			a = s.startAgent(t)
			check(fmt.Sprint("the server, ", part, " first,"), i+1)
		}
	})
}

// killAll kills the processes of the server that have these names.
func killAll(t testing.TB, names ...string) {
	t.Helper()
	eachProcess(func(p process) {
		for _, name := range names {
			if p.name == name {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	})
}
