// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// testUnplugPending unplugs the device while requests wait: they fail, and so do later
// ones (C-32).
func testUnplugPending(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	var cs []*call
	for range outstanding {
		for _, m := range s.Blocking {
			cs = append(cs, d.start(m))
		}
	}
	settle()
	s.Unplug()
	for _, c := range cs {
		hr, _ := c.wait()
		require.Contains(t, s.gone(), hr, "%v", hr)
	}
	s.afterUnplug(t, d)
}

func testUnplugIdle(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	s.Unplug()
	s.afterUnplug(t, d)
}

func (s *suite) afterUnplug(t *testing.T, d *driver) {
	for _, m := range []Template{{Op: pnp.OpRead, Len: 64}, {Op: pnp.OpWrite, Len: 64}} {
		for range 3 {
			c := d.start(m)
			hr, n := c.wait()
			require.Contains(t, s.gone(), hr, "%v after unplugging: %v", m.Op, hr)
			require.Zero(t, n)
		}
	}
	d.close()
}
