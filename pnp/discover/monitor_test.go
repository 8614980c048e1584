// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a monitor whose events the test takes one by one.
type recorder struct {
	t      testing.TB
	events chan discover.Event
	*discover.Monitor
}

func follow(t testing.TB, cfg discover.Config) *recorder {
	t.Helper()
	r := &recorder{t: t, events: make(chan discover.Event, 10000)}
	var err error
	r.Monitor, err = discover.Start(cfg, func(e discover.Event) { r.events <- e })
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Close()
		r.Close()
	})
	return r
}

func (r *recorder) next() discover.Event {
	r.t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(20 * time.Second):
		stacks := make([]byte, 1<<16)
		r.t.Fatalf("no event\n%s", stacks[:runtime.Stack(stacks, true)])
		return discover.Event{}
	}
}

func (r *recorder) gets(kind discover.EventKind, key string) *discover.Device {
	r.t.Helper()
	e := r.next()
	require.Equal(r.t, fmt.Sprint(kind, " ", key), fmt.Sprint(e.Kind, " ", e.Device.Key))
	return e.Device
}

// quiet checks that nothing was reported before a device that it plugs in.
func (r *recorder) quiet(m *discovertest.Tree) {
	r.t.Helper()
	d := discovertest.Camera()
	d.Port = "1-99"
	p := m.Plug(d)
	m.Settle()
	r.gets(discover.Added, p.Key+"/1-99:1.0")
	p.Unplug()
	m.Settle()
	r.gets(discover.Removed, p.Key+"/1-99:1.0")
	require.Empty(r.t, r.events)
}

const (
	added   = discover.Added
	removed = discover.Removed
	changed = discover.Changed
)

func TestInitialDevicesComeFirst(t *testing.T) {
	m := discovertest.New(t)
	a, b := m.Plug(discovertest.FTDI("1")), m.Plug(discovertest.Gamepad())
	r := follow(t, m.Config())
	require.Len(t, r.events, 2, "before Start returns")
	r.gets(added, a.Keys[0])
	r.gets(added, b.Keys[0])
	r.quiet(m)
}

func TestPluggedAndUnplugged(t *testing.T) {
	for _, udev := range []bool{false, true} {
		t.Run(fmt.Sprintf("udev=%t", udev), func(t *testing.T) {
			m := discovertest.New(t)
			if udev {
				m.RunUdev()
			}
			r := follow(t, m.Config())
			for range 20 {
				p := m.Plug(discovertest.FTDI("1"))
				m.Settle()
				d := r.gets(added, p.Keys[0])
				require.Equal(t, p.Nodes[0], d.Node)
				p.Unplug() // without udev's message
				require.Equal(t, d, r.gets(removed, p.Keys[0]))
				m.Settle()
			}
			r.quiet(m)
		})
	}
}

func TestUdevIsWaitedFor(t *testing.T) {
	m := discovertest.New(t)
	m.RunUdev()
	r := follow(t, m.Config())
	early := m.Plug(discovertest.FTDI("1"))
	m.Settle()
	r.gets(added, early.Keys[0])
	marker := discovertest.Gamepad()
	marker.Port = "1-9"
	other := m.Plug(marker)
	m.Settle()
	r.gets(added, other.Keys[0])
	for _, late := range []func(discovertest.USB) *discovertest.Plugged{m.Plug, m.PlugUnseen} {
		p := late(discovertest.FTDI("2")) // with and without the kernel's message
		m.Record()
		// Something else makes the monitor look. It sees the device but does
		// not report it.
		m.SetAttribute(other.Key, "product", p.Key+p.Nodes[0])
		m.Send(discover.Uevent{Udev: true, Action: "change", Path: other.Key, Subsystem: "usb"})
		r.gets(changed, other.Keys[0])
		m.Trigger("add", p.Key, "usb")
		m.Trigger("add", p.Keys[0], "tty")
		m.Settle()
		r.gets(added, p.Keys[0])
	}
	early.Unplug()
	r.gets(removed, early.Keys[0])
	m.Settle()
	r.quiet(m)
}

// TestUdevOfThePredecessor checks that udev's message about a device does not count
// for another that has taken its place.
func TestUdevOfThePredecessor(t *testing.T) {
	m := discovertest.New(t)
	m.RunUdev()
	r := follow(t, m.Config())
	marker := discovertest.Gamepad()
	marker.Port = "1-9"
	other := m.Plug(marker)
	m.Settle()
	r.gets(added, other.Keys[0])
	d := discovertest.FTDI("1")
	d.Interfaces[0].TTY = "ttyUSB0"
	m.Plug(d).Unplug()
	p := m.Plug(d)
	m.Record()
	m.SettleSome(8) // the first one came and went
	m.SetAttribute(other.Key, "product", "Other")
	m.Send(discover.Uevent{Udev: true, Action: "change", Path: other.Key, Subsystem: "usb"})
	r.gets(changed, other.Keys[0])
	m.Settle()
	r.gets(added, p.Keys[0])
	r.quiet(m)
}

func TestSilentUdev(t *testing.T) {
	discover.SetPatience(t, 50*time.Millisecond)
	m := discovertest.New(t)
	m.RunUdev()
	r := follow(t, m.Config())
	p := m.Plug(discovertest.FTDI("1"))
	r.gets(added, p.Keys[0])
	q := m.Plug(discovertest.FTDI("2")) // from now on it is not waited for
	r.gets(added, q.Keys[0])
}

// TestOlderThanUdev checks that a device that was there before udev is not kept
// back.
func TestOlderThanUdev(t *testing.T) {
	m := discovertest.New(t)
	m.RunUdev()
	p := m.PlugUnseen(discovertest.FTDI("1"))
	r := follow(t, m.Config())
	r.gets(added, p.Keys[0])
	r.quiet(m)
}

func TestChanged(t *testing.T) {
	m := discovertest.New(t)
	m.RunUdev()
	r := follow(t, m.Config())
	p := m.Plug(discovertest.FTDI("1"))
	m.Settle()
	r.gets(added, p.Keys[0])
	m.Trigger("change", p.Key, "usb")
	m.Settle()
	m.SetAttribute(p.Key, "product", "Other")
	m.Trigger("change", p.Key, "usb")
	m.Settle()
	require.Equal(t, "Other", r.gets(changed, p.Keys[0]).Description.Name)
	m.Trigger("change", p.Key, "block") // does not matter
	r.quiet(m)
}

// TestDriverComes checks that an interface is not reported while a driver may still
// take it.
func TestDriverComes(t *testing.T) {
	discover.SetDriverTime(t, time.Hour)
	m := discovertest.New(t)
	marker := discovertest.Gamepad()
	marker.Port = "1-9"
	other := m.Plug(marker)
	old := m.Plug(discovertest.Unknown())
	r := follow(t, m.Config())
	r.gets(added, old.Key+"/1-1:1.0") // the first look waits for no driver
	r.gets(added, other.Keys[0])
	p := m.Plug(discovertest.Unknown())
	m.SetAttribute(other.Key, "product", "Other")
	m.Trigger("change", other.Key, "usb")
	r.gets(changed, other.Keys[0])
	p.Unplug()
	r.quiet(m)
}

func TestDriverLeaves(t *testing.T) {
	m := discovertest.New(t)
	r := follow(t, m.Config())
	p := m.Plug(discovertest.FTDI("1"))
	r.gets(added, p.Keys[0])
	require.NoError(t, os.RemoveAll(filepath.Join(m.Sys, p.Key, "1-1:1.0/ttyUSB0")))
	m.Trigger("remove", p.Keys[0], "tty")
	r.gets(removed, p.Keys[0])
	require.Contains(t, r.gets(added, p.Key+"/1-1:1.0").Excluded, "vendor-specific")
}

// TestLost loses messages, among them those about a device that was replaced by one
// like it.
func TestLost(t *testing.T) {
	m := discovertest.New(t)
	r := follow(t, m.Config())
	a := m.Plug(discovertest.FTDI("1"))
	b := m.Plug(discovertest.Camera())
	r.gets(added, a.Keys[0])
	r.gets(added, b.Key+"/1-2:1.0")
	b.UnplugUnseen()
	c := m.PlugUnseen(discovertest.FTDI("3"))
	m.Lose()
	r.gets(removed, b.Key+"/1-2:1.0")
	r.gets(added, c.Keys[0])

	again := discovertest.FTDI("1")
	again.Port, again.Interfaces[0].TTY = "1-1", "ttyUSB0"
	a.UnplugUnseen()
	same := m.PlugUnseen(again)
	require.Equal(t, a.Keys, same.Keys)
	m.Lose()
	r.gets(removed, a.Keys[0])
	r.gets(added, a.Keys[0])
	r.quiet(m)
}

// TestBetweenScanAndSubscription plugs a device in while the monitor starts, at
// the two moments that could miss it.
func TestBetweenScanAndSubscription(t *testing.T) {
	m := discovertest.New(t)
	cfg := m.Config()
	var before, after *discovertest.Plugged
	cfg.Listen = func() (discover.Source, error) {
		before = m.Plug(discovertest.FTDI("1"))
		s, err := m.Listen()
		after = m.Plug(discovertest.FTDI("2"))
		return s, err
	}
	r := follow(t, cfg)
	r.gets(added, before.Keys[0])
	r.gets(added, after.Keys[0])
	r.quiet(m)
}

// TestSlowListener checks that a slow listener is told the newest state.
func TestSlowListener(t *testing.T) {
	m := discovertest.New(t)
	told, proceed := make(chan discover.Event), make(chan struct{})
	mon, err := discover.Start(m.Config(), func(e discover.Event) {
		told <- e
		<-proceed
	})
	require.NoError(t, err)
	defer mon.Close()
	defer close(proceed)
	first := m.Plug(discovertest.FTDI("1"))
	require.Equal(t, first.Keys[0], (<-told).Device.Key)
	for range 100 {
		m.Plug(discovertest.FTDI("2")).Unplug()
	}
	last := m.Plug(discovertest.FTDI("3"))
	proceed <- struct{}{}
	e := <-told
	require.Equal(t, added, e.Kind)
	require.Equal(t, last.Keys[0], e.Device.Key)
}

func TestManyDevices(t *testing.T) {
	m := discovertest.New(t)
	r := follow(t, m.Config())
	for range 3 {
		var plugged []*discovertest.Plugged
		for n := range 20 {
			plugged = append(plugged, m.Plug(discovertest.FTDI(fmt.Sprint(n))))
		}
		for range plugged {
			require.Equal(t, added, r.next().Kind)
		}
		for _, p := range plugged {
			p.Unplug()
			r.gets(removed, p.Keys[0])
		}
	}
	r.quiet(m)
}

func TestStartFails(t *testing.T) {
	m := discovertest.New(t)
	cfg := m.Config()
	cfg.Listen = func() (discover.Source, error) { return nil, errors.New("no netlink") }
	_, err := discover.Start(cfg, nil)
	require.EqualError(t, err, "no netlink")
	cfg = m.Config()
	cfg.SysRoot = filepath.Join(cfg.SysRoot, "missing")
	_, err = discover.Start(cfg, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = discover.Scan(cfg)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestSourceEnds checks that the monitor can be closed after its source has failed.
func TestSourceEnds(t *testing.T) {
	m := discovertest.New(t)
	cfg := m.Config()
	var source discover.Source
	cfg.Listen = func() (s discover.Source, err error) {
		source, err = m.Listen()
		return source, err
	}
	r := follow(t, cfg)
	require.NoError(t, source.Close())
	r.Close()
	require.Empty(t, r.events)
}
