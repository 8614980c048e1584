// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestStaysAtHome: auto, and rules for many devices, leave out what would hand over
// keystrokes or the user's identity. Whoever names it exactly gets it.
func TestStaysAtHome(t *testing.T) {
	for name, c := range map[string]struct {
		device discovertest.USB
		why    string
		wide   string
		exact  string
	}{
		"security key": {discovertest.SecurityKey(), "a security key", "usb:1050:*", "usb:1050:0402"},
		"receiver":     {discovertest.Receiver(), "keyboard", "usb:046d:*", "usb:046d:c52b"},
	} {
		t.Run(name, func(t *testing.T) {
			m := discovertest.New(t)
			p := m.Plug(c.device)
			found, err := discover.At(m.Config(), p.Nodes[len(p.Nodes)-1])
			require.NoError(t, err)
			require.Len(t, found, 1)
			for _, word := range []string{"auto", c.wide, "rule:allow+class=03"} {
				policy, _ := policy(t, "", "", options(t, word))
				d := policy.Decide(found[0])
				require.Equal(t, NotEligible, d.Verdict, word)
				require.Contains(t, d.Reason, c.why)
				require.Contains(t, policy.Advice(found[0], &d), c.exact)
			}
			for _, word := range []string{c.exact, "hid:" + p.Nodes[len(p.Nodes)-1]} {
				policy, _ := policy(t, "", "", options(t, word))
				require.Equal(t, Redirected, policy.Decide(found[0]).Verdict, word)
			}
		})
	}
}
