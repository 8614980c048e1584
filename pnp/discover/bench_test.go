// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// many plugs in 200 devices of all kinds.
func many(t testing.TB) *discovertest.Tree {
	t.Helper()
	m := discovertest.New(t)
	m.RunUdev()
	for n := range 20 {
		for _, d := range []discovertest.USB{
			discovertest.FTDI(fmt.Sprint(n)), discovertest.ACM(""), discovertest.Gamepad(), discovertest.Keyboard(),
			discovertest.Mouse(), discovertest.Phone(), discovertest.Camera(), discovertest.Printer(),
			discovertest.Webcam(), discovertest.Stick(),
		} {
			m.Plug(d)
		}
	}
	m.Settle()
	return m
}

func BenchmarkScan200(b *testing.B) {
	m := many(b)
	b.ResetTimer()
	for range b.N {
		_, err := discover.Scan(m.Config())
		require.NoError(b, err)
	}
}

// BenchmarkEventToNotify is from the kernel's messages to the call of notify,
// with 200 devices beside the new one.
func BenchmarkEventToNotify(b *testing.B) {
	m := many(b)
	told := make(chan discover.Event, 1000)
	mon, err := discover.Start(m.Config(), func(e discover.Event) { told <- e })
	require.NoError(b, err)
	defer mon.Close()
	for len(told) > 0 {
		<-told
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		p := m.Plug(discovertest.FTDI("new"))
		b.StartTimer()
		m.Settle()
		<-told
		b.StopTimer()
		p.Unplug()
		<-told
	}
}
