// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/rules"
)

// deny is an administrator's rule.
func deny(condition string) string { return "[[rule]]\naction = \"deny\"\n" + condition + "\n" }

// open opens the only device of the session, and closes it.
func (m *machine) open() pnp.HRESULT {
	m.t.Helper()
	require.Len(m.t, m.remote.Devices(), 1)
	h, err := m.remote.Devices()[0].Open(context.Background(), server.OpenOptions{})
	if err != nil {
		return pnp.HRESULTOf(err)
	}
	h.Close()
	return 0
}

// numberIs gives the number of /dev/null to the device at key; to none if it is "".
func (m *machine) numberIs(key string) {
	m.t.Helper()
	link := filepath.Join(m.Sys, "dev/char/1:3")
	require.NoError(m.t, os.RemoveAll(link))
	if key != "" {
		require.NoError(m.t, os.Symlink(filepath.Join(m.Sys, key), link))
	}
}

// TestNumberIsGivenToAnother checks that a node that outlives its device is judged by
// the device that has its number when it is opened.
func TestNumberIsGivenToAnother(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	pad, port := m.Plug(discovertest.Gamepad()), m.Plug(discovertest.FTDI("A1"))
	null := filepath.Join(m.Dev, "null")
	m.numberIs(port.Keys[0])
	m.start(deny(`vid = "046d"`), "", "char:"+null, "name:Stale")
	require.Equal(t, "+Stale", m.event())
	require.Zero(t, m.open())
	m.numberIs(pad.Keys[0])
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, m.open())
	require.Contains(t, m.log.String(), `msg="device is not opened" option=char:`+null+` err="the administrator denies it`)
	m.numberIs("")
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, m.open())
	m.numberIs(port.Keys[0])
	require.Zero(t, m.open())
}

// TestFoundNodeIsGivenToAnother is the same for a device that was found.
func TestFoundNodeIsGivenToAnother(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	printer := discovertest.Printer() // served by char, which opens any node
	printer.Interfaces[0].Target = "/dev/null"
	p, pad := m.Plug(printer), m.Plug(discovertest.Gamepad())
	m.numberIs(p.Keys[0])
	m.start(deny(`vid = "046d"`), "", "auto")
	require.Equal(t, "+HP LaserJet 1020", m.event())
	require.Zero(t, m.open())
	m.numberIs(pad.Keys[0])
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, m.open())
	m.numberIs("devices/virtual/mem/null")
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, m.open())
	another := printer
	another.Interfaces[0].Target = "" // it looks the same, and would be redirected
	m.numberIs(m.PlugUnseen(another).Keys[0])
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, m.open())
	m.numberIs(p.Keys[0])
	require.Zero(t, m.open())
}

// TestNodeWithoutDevice checks that a node is not announced if no device has its
// number.
func TestNodeWithoutDevice(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	stale := filepath.Join(t.TempDir(), "stale")
	require.NoError(t, unix.Mknod(stale, unix.S_IFCHR|0o600, int(unix.Mkdev(301, 9))))
	m.start("", "", "char:"+stale, "serial:"+stale, "auto")
	require.Empty(t, m.redirected())
	for _, option := range []string{"char:", "serial:"} {
		require.Contains(t, m.log.String(), `msg="device is not redirected" option=`+option+stale+` err="it is a node without a device; it will be redirected when the device is there"`)
	}
}

// TestTypeOfWhereThePathLed checks that the type of a node is that of the node which is
// redirected, even if a link is switched after its path was looked at.
func TestTypeOfWhereThePathLed(t *testing.T) {
	m := newMachine(t)
	m.start("", "", "loopback")
	regular := filepath.Join(t.TempDir(), "regular")
	require.NoError(t, os.WriteFile(regular, nil, 0o600))
	for option, then := range map[string]string{"file:" + regular: "/dev/null", "char:/dev/null": regular} {
		n := ParseOptions([]string{option}, m.kinds).Rules.Named[0]
		require.NoError(t, Obstacle(n, m.kinds))
		place, err := devnode.Look(then)
		require.NoError(t, err)
		_, err = m.s.redirectNamed(&node{Named: n}, place)
		require.ErrorContains(t, err, "it is not a")
	}
	_, pty := devtest.OpenPTY(t)
	n := ParseOptions([]string{"serial:" + pty}, m.kinds).Rules.Named[0]
	require.NoError(t, Obstacle(n, m.kinds))
	place, err := devnode.Look("/dev/null")
	require.NoError(t, err)
	_, err = m.s.redirectNamed(&node{Named: n}, place)
	require.ErrorContains(t, err, "it is a device of the subsystem mem")
}

// TestUnidentifiedIsDenied checks that a node which cannot be identified is refused if
// a rule could deny it, whoever wrote the rule.
func TestUnidentifiedIsDenied(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	node := m.Plug(discovertest.Gamepad()).Nodes[0]
	require.NoError(t, os.Rename(filepath.Join(m.Sys, "dev"), filepath.Join(m.Sys, "away")))
	for _, c := range []struct {
		admin, words string
		redirect     bool
	}{
		{"", "hid:" + node, true},
		{deny(`vid = "046d"`), "hid:" + node, false},
		{"", "rule:deny+vid=046d hid:" + node, false},
		{"", "rule:allow+vid=0001 hid:" + node + " rule:deny+vid=046d", true},
		{"", "rule:deny+vid=046d char:" + node, true}, // the user's rules are not about it
	} {
		o := ParseOptions(strings.Fields(c.words), m.kinds)
		files := rules.Files{Admin: filepath.Join(t.TempDir(), "admin.toml")}
		require.NoError(t, os.WriteFile(files.Admin, []byte(c.admin), 0o600))
		policy, problems := rules.Load(files, &o.Rules)
		require.Empty(t, problems)
		decision, _ := Decide(policy, m.Config(), o.Rules.Named[0])
		require.Equal(t, c.redirect, decision.Redirect, c)
	}
}

// TestAliasesAreDenied checks that a node is denied if it gives access to a device
// that is.
func TestAliasesAreDenied(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	mouse := m.Plug(discovertest.Mouse())
	input := filepath.Dir(filepath.Dir(mouse.Keys[0])) + "/input/input4/mouse0"
	m.AddNode(input, "input", "input/mouse0", false)
	require.NoError(t, os.MkdirAll(filepath.Join(m.Sys, "class/input"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(m.Sys, input), filepath.Join(m.Sys, "class/input/mouse0")))
	mice := m.AddNode("devices/virtual/input/mice", "input", "input/mice", false)
	for _, rule := range []string{`vid = "046d"`, `node = "` + m.Dev + `/input/mouse0"`, `node = "` + mice + `"`} {
		o := ParseOptions([]string{"char:" + mice}, m.kinds)
		dir := t.TempDir()
		files := rules.Files{Admin: filepath.Join(dir, "admin.toml")}
		require.NoError(t, os.WriteFile(files.Admin, []byte(deny(rule)), 0o600))
		policy, problems := rules.Load(files, &o.Rules)
		require.Empty(t, problems)
		decision, _ := Decide(policy, m.Config(), o.Rules.Named[0])
		require.Equal(t, rules.Denied, decision.Verdict, rule)
	}
}

// TestJudgedWhereThePathLed checks that a decision is about the node that the path
// led to, even if a link is switched before it is made.
func TestJudgedWhereThePathLed(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	allowed, denied := m.Plug(discovertest.FTDI("A1")), m.Plug(discovertest.Gamepad())
	link := filepath.Join(t.TempDir(), "link")
	o := ParseOptions([]string{"char:" + link}, m.kinds)
	files := rules.Files{Admin: filepath.Join(t.TempDir(), "admin.toml")}
	require.NoError(t, os.WriteFile(files.Admin, []byte(deny(`vid = "046d"`)), 0o600))
	policy, problems := rules.Load(files, &o.Rules)
	require.Empty(t, problems)
	for _, c := range []struct {
		at, then string
		redirect bool
	}{{allowed.Nodes[0], denied.Nodes[0], true}, {denied.Nodes[0], allowed.Nodes[0], false}} {
		_ = os.Remove(link)
		require.NoError(t, os.Symlink(c.at, link))
		place, err := devnode.Look(link)
		require.NoError(t, err)
		require.NoError(t, os.Remove(link))
		require.NoError(t, os.Symlink(c.then, link))
		decision, _ := decideAt(policy, m.Config(), o.Rules.Named[0], place)
		require.Equal(t, c.redirect, decision.Redirect)
		// What is opened then is not what was judged.
		other, err := devnode.Identify(link)
		require.NoError(t, err)
		require.NotEqual(t, place.ID, other)
	}
}
