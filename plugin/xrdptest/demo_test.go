// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

// TestDemo is what scripts/demo shows of the agent. The script prints the lines that
// begin with "demo: ".
func TestDemo(t *testing.T) {
	needAgent(t)
	binary, _ := servertest.FindClient(3)
	if binary == "" {
		binary = servertest.RequireClient(t, 2)
	}
	say := func(text string) {
		for _, line := range strings.Split(text, "\n") {
			fmt.Println("demo: " + line)
		}
	}
	dev := newClient(t)
	say(fmt.Sprintf("client$ %s %s", filepath.Base(binary), dev.args()))
	_, s := startXrdp(t).Connect(t, binary, xrdpserver.Alice, dev.args())
	say("server$ pnpdr-agent &")
	s.StartAgent(t)
	s.WaitFor(t, "card/data", "meter/tty")

	at := func(script string) string {
		say("server$ " + script)
		out := s.Run(t, script)
		say(out)
		return out
	}
	say("server$ cd $XDG_RUNTIME_DIR/pnpdr")
	assert.Contains(t, at("pnpdr-agent list"), "meter")
	say("")
	say("A program that opens a terminal asks the meter on the client's serial port")
	assert.Equal(t, "21.5 C", at(askByShell))
	assert.Equal(t, "21.5 C", at(askByPython))
	say("")
	say("A file of the client's is a file at the server")
	onServer := at("sha256sum card/data")
	say("client$ sha256sum " + dev.card)
	say(dev.hash + "  " + dev.card)
	require.Equal(t, dev.hash, strings.Fields(onServer)[0])
	say("")
	say("the same on both sides")
}
