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
	"freerdp-pnpdr/plugin/internal/xrdpserver"
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
	withClients(t, majors, func(t *testing.T, x *xrdpserver.Server, binary string) {
		t.Logf("PNPDR_SEED=%d", seed)
		at := rand.New(rand.NewPCG(uint64(seed), 0))
		wait := func() { time.Sleep(time.Duration(at.IntN(600)) * time.Millisecond) }
		dev := newClient(t)
		var c *servertest.Client
		var s *xrdpserver.Session
		var a *xrdpserver.Agent
		connect := func() {
			c, s = x.Connect(t, binary, xrdpserver.Alice, dev.args())
		}
		check := func(what string, n int) {
			t.Helper()
			s.WaitFor(t, "card/data", "meter/tty")
			require.Len(t, s.Mounts(t), 1, "after killing %s %d times", what, n)
			require.Equal(t, dev.hash+"  -", s.Run(t, readBack))
			require.Equal(t, "21.5 C", s.Run(t, askByPython))
			dev.unharmed(t)
		}
		connect()
		a = s.StartAgent(t)
		check("nothing", 0)

		for i := range kills {
			holdDevices(t, s, func() {
				wait()
				a.Kill()
			})
			wait()
			a = s.StartAgent(t)
			check("the agent", i+1)
		}
		for i := range kills {
			a.LosesClient(t, func() {
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
			require.NoError(t, a.Wait(t, "its session has been killed"), a.Text())
			require.Empty(t, s.Mounts(t))
			c.Kill()
			<-c.Done()
			xrdpserver.EndAll(t)
			x.Start()
			connect()
			a = s.StartAgent(t)
			check(fmt.Sprint("the server, ", part, " first,"), i+1)
		}
	})
}

// killAll kills the processes of the server that have these names.
func killAll(t testing.TB, names ...string) {
	t.Helper()
	xrdpserver.EachProcess(func(p xrdpserver.Process) {
		for _, name := range names {
			if p.Name == name {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
	})
}
