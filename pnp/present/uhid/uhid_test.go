// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

var (
	withIDs = hidreporttest.Vendor(
		hidreporttest.Input(1, 3), hidreporttest.Output(1, 2), hidreporttest.Feature(1, 5),
		hidreporttest.Input(2, 7), hidreporttest.Output(2, 4), hidreporttest.Feature(2, 1))
	withoutIDs = hidreporttest.Vendor(hidreporttest.Input(0, 8), hidreporttest.Output(0, 6), hidreporttest.Feature(0, 4))
	ledOnly    = hidreporttest.Vendor(hidreporttest.Input(0, 2), hidreporttest.Output(0, 1))
)

// fixture is a client's device that is presented to a fake kernel.
type fixture struct {
	*fakeKernel
	remote *fakeHID
	pair   *presenttest.Pair
	dev    *present.Device
	made   created
}

// newFixture presents a device; setup may change both ends before.
func newFixture(t *testing.T, descriptor []byte, setup func(k *fakeKernel, d *fakeHID)) (*fixture, error) {
	t.Helper()
	f := &fixture{fakeKernel: newFakeKernel(t), remote: newFakeHID(descriptor)}
	if setup != nil {
		setup(f.fakeKernel, f.remote)
	}
	f.pair = presenttest.NewPair(t, server.Config{}, f.remote)
	f.dev = f.pair.Device("Scale", &present.Kind{})
	p, err := f.system().present(bg, f.dev)
	if err != nil {
		require.Nil(t, p)
		<-f.gone
		return f, err
	}
	t.Cleanup(p.Close)
	f.made = <-f.fakeKernel.made
	require.Zero(t, f.dev.Stats().Open, "nobody uses it")
	return f, nil
}

func present1(t *testing.T, descriptor []byte) *fixture {
	t.Helper()
	f, err := newFixture(t, descriptor, nil)
	require.NoError(t, err)
	return f
}

// reading opens the kernel's device and waits until reads are pending.
func (f *fixture) reading() {
	f.t.Helper()
	f.open()
	f.eventually("pending reads", func() bool { return f.remote.pending() == readAhead })
}

// closed waits until the client's device is closed, at both ends.
func (f *fixture) closed() {
	f.t.Helper()
	f.eventually("closing", func() bool {
		f.remote.mu.Lock()
		defer f.remote.mu.Unlock()
		return f.dev.Stats().Open == 0 && f.remote.handles == 0
	})
}

func (f *fixture) eventually(what string, is func() bool) {
	f.t.Helper()
	require.Eventually(f.t, is, presenttest.Patience, time.Millisecond, what)
}

func next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	return servertest.Wait(t, "the next one", c)
}

func TestIdentity(t *testing.T) {
	f := present1(t, withIDs)
	require.Equal(t, hidreport.Identity{Bus: 3, Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: withIDs}, f.made.identity)
	require.Equal(t, "Maker Scale ß", f.made.name)
	require.Equal(t, "S 1 ", f.made.uniq)
	require.True(t, strings.HasPrefix(f.made.phys, fmt.Sprintf("pnpdr/%d/%d-", os.Getuid(), os.Getpid())), f.made.phys)
	to, err := os.Readlink(filepath.Join(f.dev.Dir, Link))
	require.NoError(t, err)
	require.Equal(t, "/dev/hidraw7", to)
}

// TestNames: the kernel shows them in files of lines.
func TestNames(t *testing.T) {
	f, err := newFixture(t, withIDs, func(_ *fakeKernel, d *fakeHID) {
		d.strings = map[uint32]string{
			hid.IOCTL_HID_GET_PRODUCT_STRING:      strings.Repeat("ß", 100),
			hid.IOCTL_HID_GET_SERIALNUMBER_STRING: "1\nHID_PHYS=pnpdr/0\u202e",
		}
	})
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("ß", 63), f.made.name, "no part of a character")
	require.Equal(t, "1 HID_PHYS=pnpdr/0 ", f.made.uniq)
	f, err = newFixture(t, withIDs, func(_ *fakeKernel, d *fakeHID) { d.strings = nil })
	require.NoError(t, err)
	require.Equal(t, "Scale", f.made.name)
	require.Empty(t, f.made.uniq)
}

// TestClientWithoutDescriptor: nothing is made of the device of another client.
func TestClientWithoutDescriptor(t *testing.T) {
	f, err := newFixture(t, withIDs, func(_ *fakeKernel, d *fakeHID) { d.identity = nil })
	require.ErrorIs(t, err, errNoDescriptor)
	require.Empty(t, f.fakeKernel.made)
	require.Zero(t, f.dev.Stats().Open)
}

// TestHostileIdentity: the kernel sees none of it.
func TestHostileIdentity(t *testing.T) {
	identity := func(descriptor []byte) []byte { return hidreport.Identity{Descriptor: descriptor}.Append(nil) }
	cases := map[string][]byte{
		"empty": {}, "no descriptor": identity(nil), "too long": identity(make([]byte, hidreport.MaxDescriptor+1)),
		"longer than what came": identity(withIDs)[:30],
		"long reports":          identity(hidreporttest.Vendor(hidreporttest.Feature(1, maxData))),
	}
	for why, b := range hidreporttest.Malformed() {
		cases[why] = identity(b)
	}
	for why, b := range cases {
		f, err := newFixture(t, nil, func(_ *fakeKernel, d *fakeHID) { d.identity = b })
		require.Error(t, err, why)
		require.Empty(t, f.fakeKernel.made, why)
	}
}

func TestInput(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		sent, want []string
	}{
		"without ids": {withoutIDs, []string{"\x00abcdefgh", "\x00ab", "\x00"}, []string{"abcdefgh", "ab"}},
		"with ids":    {withIDs, []string{"\x01abc\x00\x00\x00\x00", "\x03???", "", "\x02abcdefg"}, []string{"\x01abc", "\x02abcdefg"}},
		"several at once": {withIDs, []string{"\x01abc\x00\x00\x00\x00\x02abcdefg\x01de", "\x01ghi\x00\x00\x00\x00\x03???\x00\x00\x00\x00\x02zzzzzzz", "\x02end"},
			[]string{"\x01abc", "\x02abcdefg", "\x01de", "\x01ghi", "\x02end"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := present1(t, c.descriptor)
			f.reading()
			for _, report := range c.sent {
				f.remote.feed(report)
			}
			for _, want := range c.want {
				require.Equal(t, want, next(t, f.reports))
			}
			f.eventually("pending reads", func() bool { return f.remote.pending() == readAhead })
			require.Empty(t, f.reports)
		})
	}
}

// TestReadRoom: what all reads bring at once fits into hidraw's queue, and a read has room
// for one report whatever its length.
func TestReadRoom(t *testing.T) {
	for bytes, want := range map[int]int{1: 15 * 2, 8: 15 * 9, 1091: 15 * 1092, 1092: 14 * 1093, maxData - 1: 4 * maxData} {
		l, err := parse(hidreporttest.Vendor(hidreporttest.Input(0, bytes)))
		require.NoError(t, err)
		require.Equal(t, want, l.room(), "%d bytes", bytes)
	}
}

// TestInputOrder: several reads are pending, and reports stay in order.
func TestInputOrder(t *testing.T) {
	f := present1(t, withoutIDs)
	f.reading()
	const count = 2000
	go func() {
		for i := range count {
			f.remote.feed(fmt.Sprintf("\x00%08d", i))
		}
	}()
	for i := range count {
		require.Equal(t, fmt.Sprintf("%08d", i), next(t, f.reports))
	}
}

// TestOpenOnlyWhileUsed: the client's device is open while the kernel's is.
func TestOpenOnlyWhileUsed(t *testing.T) {
	f := present1(t, withIDs)
	for range 10 {
		f.reading()
		require.EqualValues(t, 1, f.dev.Stats().Open)
		f.close()
		f.closed()
	}
	// A driver asks without opening the device.
	f.remote.get = func(uint32, byte) (string, pnp.HRESULT) { return "\x01abcde", pnp.S_OK }
	f.get(1, featureReport, 1)
	require.Equal(t, answer{eventGetReportReply, 1, 0, "\x01abcde"}, next(t, f.answers))
	f.closed()
}

func TestOutput(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		report     string
		want       string
	}{
		"without ids":            {withoutIDs, "\x00abcdef", "\x00abcdef"},
		"without ids, short":     {withoutIDs, "\x00abc", "\x00abc\x00\x00\x00"},
		"without ids, long":      {withoutIDs, "\x00abcdefgh", "\x00abcdef"},
		"the kernel's LEDs":      {ledOnly, "\x05", "\x00\x05"},
		"the kernel's, longer":   {withoutIDs, "abcdef", "\x00abcdef"},
		"a program's LEDs":       {ledOnly, "\x00\x05", "\x00\x05"},
		"with ids":               {withIDs, "\x02abcd", "\x02abcd"},
		"with ids, the shorter":  {withIDs, "\x01ab", "\x01ab\x00\x00"},
		"with ids, short":        {withIDs, "\x02a", "\x02a\x00\x00\x00"},
		"with ids, nothing else": {withIDs, "\x01", "\x01\x00\x00\x00\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			f := present1(t, c.descriptor)
			f.output(c.report)
			require.Equal(t, "write "+c.want, next(t, f.remote.sent))
			f.set(7, outputReport, c.report)
			require.Equal(t, "output "+c.want, next(t, f.remote.sent))
			require.Equal(t, answer{eventSetReportReply, 7, 0, ""}, next(t, f.answers))
		})
	}
}

func TestFeature(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		set, sent  string
		id         byte
		get, want  string
	}{
		"without ids":        {withoutIDs, "\x00wxyz", "\x00wxyz", 0, "\x00abcd", "\x00abcd"},
		"without ids, short": {withoutIDs, "\x00w", "\x00w\x00\x00\x00", 0, "\x00ab", "\x00ab"},
		"with ids":           {withIDs, "\x01vwxyz", "\x01vwxyz", 1, "\x01abcde", "\x01abcde"},
		"with ids, short":    {withIDs, "\x02v", "\x02v\x00\x00\x00\x00", 2, "\x02", "\x02"},
		"another id comes":   {withIDs, "\x02v", "\x02v\x00\x00\x00\x00", 2, "\x01b", "\x02b"},
		"more comes":         {withIDs, "\x02v", "\x02v\x00\x00\x00\x00", 2, "\x02bcd", "\x02b"},
	} {
		t.Run(name, func(t *testing.T) {
			f := present1(t, c.descriptor)
			f.remote.get = func(code uint32, id byte) (string, pnp.HRESULT) {
				if code != hid.IOCTL_HID_GET_FEATURE || id != c.id {
					return "", pnp.ERROR_INVALID_PARAMETER
				}
				return c.get, pnp.S_OK
			}
			f.set(1, featureReport, c.set)
			require.Equal(t, "feature "+c.sent, next(t, f.remote.sent))
			require.Equal(t, answer{eventSetReportReply, 1, 0, ""}, next(t, f.answers))
			f.get(2, featureReport, c.id)
			require.Equal(t, answer{eventGetReportReply, 2, 0, c.want}, next(t, f.answers))
		})
	}
}

// TestRefusals: each question is answered once, with an error.
func TestRefusals(t *testing.T) {
	f := present1(t, withIDs)
	f.remote.get = func(code uint32, id byte) (string, pnp.HRESULT) {
		if id == 1 {
			return "", pnp.ERROR_GEN_FAILURE
		}
		return "", pnp.S_OK // nothing
	}
	f.get(1, featureReport, 1)
	require.NotZero(t, next(t, f.answers).errno)
	f.get(2, featureReport, 2)
	require.NotZero(t, next(t, f.answers).errno)
	f.get(3, featureReport, 9) // not declared
	require.NotZero(t, next(t, f.answers).errno)
	f.set(4, featureReport, "\x09a")
	require.NotZero(t, next(t, f.answers).errno)
	f.set(5, inputReport, "\x01abc")
	require.NotZero(t, next(t, f.answers).errno)
	f.output("\x09a")
	f.remote.set(func() { f.remote.openFails = pnp.ERROR_SHARING_VIOLATION })
	f.closed()
	f.set(6, featureReport, "\x01a")
	require.Equal(t, answer{eventSetReportReply, 6, 16, ""}, next(t, f.answers), "EBUSY")
	require.Empty(t, f.remote.sent)
}

// TestOpensAgain: the device could not be opened when a program opened the kernel's.
func TestOpensAgain(t *testing.T) {
	f := present1(t, withIDs)
	f.remote.set(func() { f.remote.openFails = pnp.ERROR_SHARING_VIOLATION })
	f.open()
	f.eventually("a failure", func() bool { return f.dev.Stats().Failed == 1 })
	f.remote.set(func() { f.remote.openFails = pnp.S_OK })
	f.eventually("pending reads", func() bool { return f.remote.pending() == readAhead })
	f.remote.feed("\x01abc")
	require.Equal(t, "\x01abc", next(t, f.reports))
}

// TestSilentClient: the kernel gives a question up; what a program sends is bounded; and
// all of it ends with the program.
func TestSilentClient(t *testing.T) {
	f := present1(t, withIDs)
	f.open()
	f.remote.set(func() { f.remote.silent = true })
	f.get(1, featureReport, 1)
	next(t, f.remote.stucks)
	f.get(2, featureReport, 1)
	require.EqualValues(t, hid.IOCTL_HID_GET_FEATURE, next(t, f.remote.cancels))
	require.EqualValues(t, 1, next(t, f.answers).id)
	for range 3 * maxRequests {
		f.output("\x01ab")
	}
	f.get(3, featureReport, 1)
	a := next(t, f.answers)
	if a.id == 2 { // cancelled
		a = next(t, f.answers)
	}
	require.EqualValues(t, 3, a.id)
	require.NotZero(t, a.errno)
	require.LessOrEqual(t, len(f.remote.stucks), maxRequests)
	f.close()
	f.closed()
	f.remote.set(func() { f.remote.silent = false })
	f.reading()
	f.output("\x02abcd")
	for next(t, f.remote.sent) != "write \x02abcd" {
	}
}

// TestGone: the kernel's device goes with the presentation, whatever is pending.
func TestGone(t *testing.T) {
	f := newFakeKernel(t)
	remote := newFakeHID(withIDs)
	pair := presenttest.NewPair(t, server.Config{}, remote)
	d := pair.Device("Scale", &present.Kind{})
	p, err := f.system().present(bg, d)
	require.NoError(t, err)
	f.open()
	require.Eventually(t, func() bool { return remote.pending() == readAhead }, presenttest.Patience, time.Millisecond)
	remote.set(func() { remote.silent = true })
	f.get(1, featureReport, 1)
	next(t, remote.stucks)
	p.Close()
	<-f.gone
	require.Zero(t, d.Stats().Open)
	_, err = os.Lstat(filepath.Join(d.Dir, Link))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestClientEnds: the session ends while the device is in use.
func TestClientEnds(t *testing.T) {
	f := present1(t, withIDs)
	f.reading()
	f.pair.Close()
	f.get(1, featureReport, 1)
	require.NotZero(t, next(t, f.answers).errno)
}

// TestInputDevices: unless the user wishes it, input devices are inhibited.
func TestInputDevices(t *testing.T) {
	f, err := newFixture(t, withIDs, func(k *fakeKernel, _ *fakeHID) { k.inputs = 2 })
	require.NoError(t, err)
	require.Equal(t, "1", f.inhibited("", "input0"))
	require.Equal(t, "1", f.inhibited("", "input1"))

	_, err = newFixture(t, withIDs, func(k *fakeKernel, _ *fakeHID) { k.inputs, k.uninhibitable = 1, true })
	require.ErrorContains(t, err, "must not reach the desktop")
	require.ErrorIs(t, err, os.ErrNotExist)

	k, d := newFakeKernel(t), newFakeHID(withIDs)
	k.inputs = 1
	dev := presenttest.NewPair(t, server.Config{}, d).Device("Scale", &present.Kind{})
	dev.Options.Input = true
	p, err := k.system().present(bg, dev)
	require.NoError(t, err)
	require.Equal(t, "0", k.inhibited("", "input0"))
	p.Close()
}

// TestLaterInputDevices: a driver makes an input device of a device behind the device,
// when the client says that there is one.
func TestLaterInputDevices(t *testing.T) {
	f := present1(t, withIDs)
	f.reading()
	f.makeInput("0003:1209:0001.0002", "input5")
	f.eventually("inhibiting", func() bool { return f.inhibited("0003:1209:0001.0002", "input5") == "1" })
	f.uevents <- discover.Uevent{Action: "add", Subsystem: "input", Path: "devices/virtual/input/input6"} // another's
	f.remote.feed("\x01abc\x00\x00\x00\x00")
	f.eventually("input goes on", func() bool {
		f.remote.feed("\x01abc\x00\x00\x00\x00")
		return len(f.reports) > 0
	})

	f.uninhibitable = true
	f.makeInput("", "input7")
	<-f.gone
	f.closed()
}

// TestGivesUp: no driver takes the device until nobody waits any more.
func TestGivesUp(t *testing.T) {
	k, d := newFakeKernel(t), newFakeHID(withIDs)
	k.noDriver = true
	dev := presenttest.NewPair(t, server.Config{}, d).Device("Scale", &present.Kind{})
	ctx, cancel := context.WithCancel(bg)
	go func() {
		<-k.made
		cancel()
	}()
	_, err := k.system().present(ctx, dev)
	require.ErrorIs(t, err, context.Canceled)
	<-k.gone
}

// TestNoUHID says what the user can do.
func TestNoUHID(t *testing.T) {
	_, err := openKernel(filepath.Join(t.TempDir(), "uhid"))
	require.ErrorContains(t, err, "modprobe uhid")
}

// TestKernelEvents: the kernel's events are decoded whatever they hold.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{eventOutput}, []byte("x"))
	f.Add([]byte{eventSetReport, 0, 0, 0, 1, 0, 0, 0, 1, 0, 255, 255}, []byte("x"))
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		b := make([]byte, eventSize)
		copy(b, head)
		copy(b[eventSize-min(len(tail), eventSize):], tail)
		before := bytes.Clone(b)
		e, ok := decode(b)
		require.LessOrEqual(t, len(e.data), maxData)
		require.Equal(t, before, b)
		if l, err := parse(withIDs); ok && err == nil {
			l.outgoing(e.kind, e.data)
			l.question(e.kind, e.number)
		}
	})
}
