// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/hid"
)

// panelDescriptor has two top-level collections, with reports 3 and 4.
var panelDescriptor = []byte{
	0x06, 0x00, 0xFF, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, // vendor's page, bytes
	0x09, 0x01, 0xA1, 0x01, 0x85, 0x03,
	0x95, 0x02, 0x09, 0x02, 0x81, 0x02, 0x95, 0x01, 0x09, 0x03, 0x91, 0x02, 0x95, 0x04, 0x09, 0x04, 0xB1, 0x02, 0xC0,
	0x09, 0x02, 0xA1, 0x01, 0x85, 0x04,
	0x95, 0x05, 0x09, 0x02, 0x81, 0x02, 0x95, 0x03, 0x09, 0x03, 0x91, 0x02, 0x95, 0x06, 0x09, 0x04, 0xB1, 0x02, 0xC0,
}

// panelFeatures are its feature reports.
var panelFeatures = map[byte]string{3: "\x03wxyz", 4: "\x04uvwxyz"}

// useCollections uses both devices of a panel at the same time: each has the reports of its
// own collection, and no others.
func (r *remote) useCollections(u *uhid, first, second *server.Device) {
	r.t.Helper()
	t := r.t
	require.Equal(t, *first.Description().Container, *second.Description().Container)
	require.Contains(t, first.Description().HardwareIDs, `HID\VID_1209&PID_0002&Col01`)
	require.Contains(t, second.Description().HardwareIDs, `HID\VID_1209&PID_0002&Col02`)
	handles := []*server.Handle{r.open(first), r.open(second)}
	read := func(h *server.Handle) string {
		b := make([]byte, 100)
		n, err := h.ReadAt(r.ctx, b, 0)
		require.NoError(t, err)
		return string(b[:n])
	}
	refused := func(err error) {
		t.Helper()
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER.Name(), pnp.HRESULTOf(err).Name())
	}
	for n, h := range handles {
		// A handle's next report would be the other's if it got that.
		own, other := []string{"\x03ab", "\x0412345"}[n], []string{"\x0412345", "\x03ab"}[n]
		u.Feed([]byte(other)...)
		u.Feed([]byte(own)...)
		require.Equal(t, own, read(h))
		require.Equal(t, other, read(handles[1-n]))

		out := []string{"\x03o", "\x04out"}[n]
		sent, err := h.WriteAt(r.ctx, []byte(out), 0)
		require.NoError(t, err)
		require.Equal(t, len(out), sent)
		require.Equal(t, "w"+out, <-u.sent)
		id := out[0]
		require.Equal(t, panelFeatures[id], string(r.control(h, hid.IOCTL_HID_GET_FEATURE, []byte{id}, len(panelFeatures[id]))))
		require.Equal(t, id, <-u.asked)
		r.control(h, hid.IOCTL_HID_SET_FEATURE, []byte(panelFeatures[id]), 0)
		require.Equal(t, "s"+panelFeatures[id], <-u.sent)

		otherID := 7 - id
		_, err = h.WriteAt(r.ctx, append([]byte{otherID}, make([]byte, 9)...), 0)
		refused(err)
		_, err = h.IOControl(r.ctx, hid.IOCTL_HID_SET_FEATURE, append([]byte{otherID}, make([]byte, 9)...), nil)
		refused(err)
		_, err = h.IOControl(r.ctx, hid.IOCTL_HID_GET_FEATURE, []byte{otherID}, make([]byte, 10))
		refused(err)
	}
	require.Empty(t, u.sent, "what was refused has arrived")
	require.Empty(t, u.asked)

	reads := []<-chan error{}
	for _, h := range handles {
		reads = append(reads, pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 100), 0) }))
	}
	u.Unplug()
	for _, ended := range reads {
		r.requireGone(ended)
	}
	left := map[uint32]bool{first.ID(): true, second.ID(): true}
	for range 2 {
		e := r.event()
		require.True(t, e.Removed && left[e.Device.ID()], "%+v", e)
		delete(left, e.Device.ID())
	}
}
