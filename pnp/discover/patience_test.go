// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patient is a monitor on a machine with udev, whose clock is the test's.
type patient struct {
	*Monitor
	t     *testing.T
	start time.Time
	seq   uint64
}

func newPatient(t *testing.T) *patient {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "control"), nil, 0o600))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return &patient{t: t, start: time.Now(), Monitor: &Monitor{
		cfg:     Config{UdevRoot: root, Log: log},
		pending: make(map[string]waiting), early: make(map[string]time.Time),
		heard: make(map[string]bool), given: make(map[string]bool),
	}}
}

// at is a time in units of patience.
func (p *patient) at(units float64) time.Time {
	return p.start.Add(time.Duration(units * float64(patience)))
}

func (p *patient) kernel(path string, units float64) {
	p.seq++
	p.take(Uevent{Action: "add", Path: path, Subsystem: "usb", Seq: p.seq}, p.at(units))
}

func (p *patient) udev(path string, units float64) {
	p.take(Uevent{Udev: true, Action: "add", Path: path, Subsystem: "usb", Seq: p.seq}, p.at(units))
}

// waits checks which devices wait at that time, and whether udev counts as silent.
func (p *patient) waits(units float64, silent bool, paths ...string) {
	p.t.Helper()
	p.timeOut(p.at(units))
	require.Len(p.t, p.pending, len(paths), "at %v", units)
	for _, path := range paths {
		require.Contains(p.t, p.pending, path)
	}
	require.Equal(p.t, silent, p.silent)
}

// TestUdevIsBusy checks that a device waits while udev reports others: its rules may
// not have run yet.
func TestUdevIsBusy(t *testing.T) {
	p := newPatient(t)
	for _, path := range []string{"a", "b", "c"} {
		p.kernel(path, 0)
	}
	p.udev("a", 0.9)
	p.waits(1.5, false, "b", "c")
	p.udev("b", 1.8)
	p.waits(2.7, false, "c")
	p.take(Uevent{Udev: true, Action: "change", Path: "other", Subsystem: "power_supply"}, p.at(2.7))
	p.waits(3.6, false, "c")
	p.udev("c", 3.6)
	p.waits(10, false)
	require.Empty(t, p.given)
}

// TestEachDeviceWaits checks that a device which comes late waits as long as the first.
func TestEachDeviceWaits(t *testing.T) {
	p := newPatient(t)
	p.kernel("a", 0)
	p.kernel("b", 0.9)
	p.waits(0.99, false, "a", "b")
	p.waits(1, true, "b")
	require.True(t, p.given["a"])
	p.waits(1.89, true, "b")
	p.waits(1.9, true)
	p.kernel("c", 2) // nothing waits for a silent udev
	p.waits(2, true)
	p.udev("c", 2.1)
	p.kernel("d", 2.2)
	p.waits(2.2, false, "d")
}

// TestUdevForgetsADevice checks that a device does not wait for ever while udev reports
// others, and that udev is not called silent.
func TestUdevForgetsADevice(t *testing.T) {
	p := newPatient(t)
	p.kernel("a", 0)
	for n := 1; n < maxPatience; n++ {
		p.udev("b", float64(n)-0.1)
		p.waits(float64(n), false, "a")
	}
	p.udev("b", maxPatience-0.1)
	p.waits(maxPatience, false)
	require.True(t, p.given["a"])
}
