// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// withoutFiles runs f while nothing can be opened.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	none := before
	none.Cur = 3
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	f()
}

// TestCannotRead checks that what cannot be read is not taken for gone.
func TestCannotRead(t *testing.T) {
	const retry = 50 * time.Millisecond
	discover.SetRetryTime(t, retry)
	discover.SetDriverTime(t, time.Millisecond)
	m := discovertest.New(t)
	p := m.Plug(discovertest.FTDI("1"))
	var log devtest.Output
	cfg := m.Config()
	cfg.Log = log.Logger(slog.LevelInfo)
	r := follow(t, cfg)
	r.gets(added, p.Keys[0])
	q := m.PlugUnseen(discovertest.FTDI("2"))
	var during time.Duration
	withoutFiles(t, func() {
		begun := time.Now()
		defer func() { during = time.Since(begun) }()
		_, err := discover.Scan(m.Config())
		require.ErrorIs(t, err, unix.EMFILE)
		_, err = discover.At(m.Config(), p.Nodes[0])
		require.ErrorIs(t, err, unix.EMFILE)
		m.Trigger("change", p.Keys[0], "tty")
		time.Sleep(300 * time.Millisecond)
	})
	r.gets(added, q.Keys[0]) // without another message
	require.Empty(t, r.events)
	looks := strings.Count(log.String(), "looking for devices failed")
	require.Positive(t, looks)
	require.Less(t, looks, 10+int(during/retry), "the monitor is busy")
	p.Unplug()
	r.gets(removed, p.Keys[0])
}

func TestListenerPanics(t *testing.T) {
	m := discovertest.New(t)
	var log devtest.Output
	cfg := m.Config()
	cfg.Log = log.Logger(slog.LevelInfo)
	called := make(chan bool, 1)
	monitor, err := discover.Start(cfg, func(discover.Event) {
		called <- true
		panic("listener")
	})
	require.NoError(t, err)
	m.Plug(discovertest.FTDI("1"))
	<-called
	monitor.Close()
	require.Contains(t, log.String(), "panic while following devices: listener")
}

// TestUdevIsLate checks that a device that was reported before udev's rules had run
// is reported again when they have: rules may match links that are new.
func TestUdevIsLate(t *testing.T) {
	discover.SetPatience(t, 50*time.Millisecond)
	m := discovertest.New(t)
	m.RunUdev()
	r := follow(t, m.Config())
	p := m.Plug(discovertest.FTDI("1"))
	m.Record() // udev's rules are still running
	r.gets(added, p.Keys[0])
	q := m.Plug(discovertest.Phone())
	bare := r.next().Device
	require.Equal(t, q.Key, bare.Key[:len(q.Key)])
	m.Settle()
	got := map[string]discover.EventKind{}
	for range 2 {
		e := r.next()
		got[e.Device.Key] = e.Kind
	}
	require.Equal(t, map[string]discover.EventKind{p.Keys[0]: changed, bare.Key: changed}, got)
	m.Trigger("change", p.Keys[0], "tty")
	m.Settle()
	r.quiet(m) // once is enough
}

func TestNestedApplications(t *testing.T) {
	nest := func(kind byte, inner []byte) []byte {
		// A vendor's application collection and, beside or around it, another.
		b := append([]byte{}, discovertest.VendorReport...)
		b = append(b, 0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, kind)
		return append(append(b, inner...), 0xc0)
	}
	for _, c := range []struct {
		report []byte
		want   string
	}{
		{nest(2, discovertest.KeyboardReport), "keyboard"},
		{nest(1, discovertest.MouseReport), "pointing"},
		{nest(2, discovertest.MediaKeysReport), ""},
		{nest(2, nil), ""},
	} {
		d := discovertest.Gamepad()
		d.Interfaces[0].Report = c.report
		got := one(t, d)
		require.Contains(t, got.Excluded, c.want)
		require.Equal(t, c.want == "", got.Excluded == "", got.Excluded)
		for _, u := range got.Usages {
			require.Equal(t, uint16(0xff00), u.Page)
		}
	}
}

func TestModemOfAConnection(t *testing.T) {
	for _, child := range []string{"net", "wwan"} {
		m := discovertest.New(t)
		p := m.Plug(discovertest.USB{Vendor: 0x2c7c, ProductID: 0x0125, Product: "LTE", Interfaces: []discovertest.Interface{
			{Class: 0xff, Driver: "option", TTY: "ttyUSB#"},
			{Class: 0xff, Driver: "qmi_wwan", Children: []string{child}},
		}})
		require.Contains(t, byKey(scan(t, m))[p.Keys[0]].Excluded, "network")
	}
}
