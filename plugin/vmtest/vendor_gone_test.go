// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/image"
)

// testUnplugged unplugs the device at each stage of transfers: everything that is pending
// or comes later ends once, as for a device that is not connected, whether the transfers
// fail first, as when a cable is pulled out, or the kernel knows at once.
func (v *vendor) testUnplugged() {
	status := ioBlock(0, 2, 0, 1, 0, 1)
	for _, stage := range []struct {
		name   string
		unplug func()
		begin  func(other *server.Handle) []*begun
	}{
		{"nothing", v.Unplug, func(*server.Handle) []*begun { return nil }},
		{"a read that got half its data, and others", v.Unplug, func(*server.Handle) []*begun {
			all := []*begun{v.read(2 * bulkPacket), v.read(bulkPacket), v.read(700)}
			v.Await(vendorIn, len(all))
			v.Send(vendorIn, pattern(bulkPacket))
			return all
		}},
		{"writes, one of them half taken", v.Unplug, func(*server.Handle) []*begun {
			all := []*begun{v.write(pattern(700_000)), v.write(pattern(100)), v.write(nil)}
			v.Receive(vendorOut)
			v.Await(vendorOut, 1)
			return all
		}},
		{"reports", v.Unplug, func(other *server.Handle) []*begun {
			all := []*begun{v.wait(v.h), v.wait(other), v.wait(v.h)}
			v.Await(vendorReports, 1)
			return all
		}},
		{"a request", v.Unplug, func(*server.Handle) []*begun {
			v.hang <- struct{}{}
			all := []*begun{v.request(image.IOCTL_SEND_USB_REQUEST, status, 2), v.request(image.IOCTL_SEND_USB_REQUEST, status, 2)}
			<-v.requests
			return all
		}},
		{"all at once, and the kernel knows", v.Drop, func(other *server.Handle) []*begun {
			all := []*begun{v.read(bulkPacket), v.write([]byte("x")), v.wait(v.h), v.wait(other)}
			v.Await(vendorIn, 1)
			v.Await(vendorOut, 1)
			return all
		}},
		{"data that was read a moment ago", v.Unplug, func(*server.Handle) []*begun {
			r := v.read(bulkPacket)
			v.Send(vendorIn, []byte("data"))
			r.brings([]byte("data"))
			return nil
		}},
	} {
		v.t.Log(stage.name)
		v.plug()
		other := v.open(v.d)
		under := stage.begin(other)
		stage.unplug()
		under = append(under, v.read(bulkPacket), v.read(700), v.write([]byte("x")), v.write(nil), v.wait(v.h), v.wait(other),
			v.request(image.IOCTL_SEND_USB_REQUEST, status, 2), v.request(image.IOCTL_RESET_PIPE, u32s(image.ALL_PIPE), 0))
		for _, b := range under {
			b.fails(pnp.ERROR_DEVICE_NOT_CONNECTED)
		}
		v.removed(v.d)
		for _, b := range under {
			require.Empty(v.t, b.ended, "it was answered twice")
		}
		require.NoError(v.t, other.Close())
		require.NoError(v.t, v.h.Close())
	}
}
