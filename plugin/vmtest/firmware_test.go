// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
	"freerdp-pnpdr/pnp/discover"
)

// testInstrument asks an instrument, and asks it what it never answers. Meanwhile the
// session goes on.
func testInstrument(t *testing.T, f *fixture) {
	i := gadgettest.NewInstrument(t)
	i.Plug(gadgettest.InstrumentNode)
	r := f.connect(t, "loopback,char:"+gadgettest.InstrumentNode)
	var instrument, other *server.Device
	for instrument == nil || other == nil {
		if d := r.event().Device; d.Description().Name == fakeDevice {
			other = d
		} else {
			instrument = d
		}
	}
	h := r.open(instrument)
	waitForAnswers(t, r.client.Pid())
	ask := func(question string) {
		t.Helper()
		_, err := h.WriteAt(r.ctx, []byte(question), 0)
		require.NoError(t, err)
		require.Equal(t, question, <-i.Asked)
	}
	b := make([]byte, 256)
	for range 3 {
		ask("*IDN?\n")
		ctx, cancel := context.WithTimeout(r.ctx, patience)
		n, err := h.ReadAt(ctx, b, 0)
		cancel()
		require.NoError(t, err)
		require.Equal(t, gadgettest.InstrumentName+"\n", string(b[:n]))
	}

	ask("MEAS?\n")
	ctx, cancel := context.WithCancel(r.ctx)
	ended := pending(func() (int, error) { return h.ReadAt(ctx, make([]byte, 64), 0) })
	i.Reading()
	i.RequestService()
	opens := pending(func() (int, error) {
		h, err := instrument.Open(r.ctx, server.OpenOptions{}) // waits for the read
		if err == nil {
			err = h.Close()
		}
		return 0, err
	})
	o := r.open(other)
	for n := range 50 {
		text := fmt.Sprintf("number %d", n)
		_, err := o.WriteAt(r.ctx, []byte(text), 0)
		require.NoError(t, err)
		k, err := o.ReadAt(r.ctx, b[:len(text)], 0)
		require.NoError(t, err)
		require.Equal(t, text, string(b[:k]))
	}
	require.Empty(t, ended)
	require.Empty(t, opens)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	next := pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 64), 0) })
	i.Unplug()
	r.requireGone(next)
	if err := <-opens; err != nil {
		r.notConnected(err)
	}
	r.removed(instrument)
	r.stillThere(fakeDevice)
	r.finish()
}

// waitForAnswers makes the driver wait longer than any test for answers that the client
// has asked for.
func waitForAnswers(t testing.TB, pid int) {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	require.NoError(t, err)
	for _, e := range list {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name())); to != gadgettest.InstrumentNode {
			continue
		}
		var n int
		_, err := fmt.Sscan(e.Name(), &n)
		require.NoError(t, err)
		process, err := unix.PidfdOpen(pid, 0)
		require.NoError(t, err)
		defer unix.Close(process)
		fd, err := unix.PidfdGetfd(process, n, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, gadgettest.WaitForAnswers(fd))
		return
	}
	t.Fatal("the client has not opened the instrument")
}

// keyboardDescriptor has an array of six keys.
var keyboardDescriptor = []byte{
	0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, // Generic Desktop, Keyboard, Collection (Application)
	0x05, 0x07, 0x19, 0x00, 0x29, 0x65, // keys 0..101
	0x15, 0x00, 0x25, 0x65, 0x75, 0x08, 0x95, 0x06, 0x81, 0x00,
	0xC0,
}

// testComposite plugs in a USB device that has a vendor's interface beside a keyboard.
// auto passes both over; a user who names the device gets both.
func testComposite(t *testing.T, f *fixture) {
	const name = "Combination"
	u := gadgettest.NewHID(t, name,
		gadgettest.HIDInterface{Descriptor: plainDescriptor, Out: true, Get: func(_ gadgettest.Kind, id byte) ([]byte, bool) {
			return []byte("wxy"), true // one byte short
		}},
		gadgettest.HIDInterface{Descriptor: keyboardDescriptor, Keyboard: true})
	u.Plug()
	vendor, keyboard := u.Node(0), u.Node(1)
	settle(t)
	for _, node := range []string{vendor, keyboard} {
		d := found(t, node)
		require.Equal(t, name, d.Product)
		require.NotEmpty(t, d.Excluded, node)
		t.Logf("%s: %s", node, d.Excluded)
	}

	r := f.connect(t, "loopback,auto")
	r.added(fakeDevice)
	alone := newUHID(t, "Alone", plainDescriptor, nil)
	d := r.added("Alone") // and nothing before it
	u.Unplug()
	u.Plug()
	u.Node(0)
	u.Node(1)
	settle(t)
	alone.Unplug()
	r.removed(d)
	r.finish()

	r = f.connect(t, "loopback,usb:1209:0002")
	devices := map[bool]*server.Device{}
	for len(devices) < 2 {
		d := r.event().Device
		if d.Description().Name != fakeDevice {
			devices[strings.Contains(strings.Join(d.Description().HardwareIDs, " "), "HID_DEVICE_SYSTEM_KEYBOARD")] = d
		}
	}
	v, k := r.open(devices[false]), r.open(devices[true])
	b := make([]byte, 7)
	u.Input(1, 4, 0, 0, 0, 0, 0)
	n, err := k.ReadAt(r.ctx, b, 0)
	require.NoError(t, err)
	require.Equal(t, "\x00\x04\x00\x00\x00\x00\x00", string(b[:n]))
	u.Input(0, []byte("ab")...)
	n, err = v.ReadAt(r.ctx, b, 0)
	require.NoError(t, err)
	require.Equal(t, "\x00ab", string(b[:n]))
	require.Equal(t, "\x00wxy", string(r.control(v, hid.IOCTL_HID_GET_FEATURE, []byte{0}, 5)))
	_, err = v.WriteAt(r.ctx, []byte("\x00o"), 0)
	require.NoError(t, err)
	r.control(v, hid.IOCTL_HID_SET_FEATURE, []byte("\x00ABCD"), 0)
	sent := u.Sent(2)
	require.Contains(t, sent, gadgettest.Sent{How: "out", Data: "o"})
	require.Contains(t, sent, gadgettest.Sent{How: "set", Kind: gadgettest.Feature, Data: "ABCD"})
	reads := pending(func() (int, error) { return v.ReadAt(r.ctx, make([]byte, 7), 0) })
	keys := pending(func() (int, error) { return k.ReadAt(r.ctx, make([]byte, 7), 0) })
	u.Unplug()
	r.requireGone(reads)
	r.requireGone(keys)
	r.stillThere(fakeDevice)
	r.finish()
}

// found returns what discovery says of a node.
func found(t testing.TB, node string) *discover.Device {
	t.Helper()
	devices, err := discover.Scan(discover.Config{})
	require.NoError(t, err)
	for _, d := range devices {
		if d.Node == node {
			return d
		}
	}
	t.Fatalf("discovery does not list %s", node)
	return nil
}
