// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
	"freerdp-pnpdr/pnp/devtest/usbiptest"
)

const vendorName = "Vendor device"

// Its endpoints, and their packets.
const (
	vendorIn, vendorOut, vendorReports = 0x81, 0x02, 0x83

	bulkPacket, reportPacket = 512, 64
)

// vendor is a session with a device of a vendor's class. The test is its firmware.
type vendor struct {
	*remote
	*usbiptest.Device
	d *server.Device
	h *server.Handle

	requests chan gadgettest.Setup // that came on the control pipe
	hang     chan struct{}         // holds a value: the next request gets no answer
}

// testVendor redirects a device by its port and moves packets to and from it.
func testVendor(t *testing.T, f *fixture) {
	v := &vendor{requests: make(chan gadgettest.Setup, 16), hang: make(chan struct{}, 1)}
	v.Device = usbiptest.New(t, usbiptest.Config{
		Vendor: 0x1209, Product: 0x0003, Name: vendorName, Class: 0xFF,
		Endpoints: []usbiptest.Endpoint{
			{Address: vendorIn, MaxPacket: bulkPacket}, {Address: vendorOut, MaxPacket: bulkPacket},
			{Address: vendorReports, MaxPacket: reportPacket, Interrupt: true},
		},
		Control: v.answer,
	})
	v.remote = f.connect(t, "image:"+v.Port())
	v.plug()
	for _, part := range []func(){
		v.testReads, v.testWrites, v.testReports, v.testRequests, v.testCancel, v.testLate, v.testHalt,
	} {
		part()
	}
	require.NoError(t, v.h.Close())
	v.Unplug()
	v.removed(v.d)
	v.testUnplugged()
	v.finish()
}

func (v *vendor) plug() {
	v.t.Helper()
	v.Plug()
	v.d = v.added(vendorName)
	v.h = v.open(v.d)
}

// answer is the firmware's: it knows the vendor's request 1.
func (v *vendor) answer(s gadgettest.Setup, _ []byte) ([]byte, bool) {
	v.requests <- s
	select {
	case <-v.hang:
		<-v.Unplugged()
	default:
	}
	return []byte{byte(s.Value), byte(s.Index)}, s.Type&^0x80 == 0x40 && s.Request == 1
}

// begun is a request whose end is awaited.
type begun struct {
	v      *vendor
	out    []byte
	ended  chan outcome
	cancel func()
}

type outcome struct {
	n   int
	err error
}

func (v *vendor) begin(h *server.Handle, r server.Request) *begun {
	v.t.Helper()
	b := &begun{v: v, out: r.Out, ended: make(chan outcome, 2)}
	r.Done = func(n int, err error) { b.ended <- outcome{n, err} }
	var err error
	b.cancel, err = h.Start(r)
	require.NoError(v.t, err)
	return b
}

func (v *vendor) read(n int) *begun {
	v.t.Helper()
	return v.begin(v.h, server.Request{Op: pnp.OpRead, Out: make([]byte, n)})
}

func (v *vendor) write(data []byte) *begun {
	v.t.Helper()
	return v.begin(v.h, server.Request{Op: pnp.OpWrite, In: data})
}

func (v *vendor) wait(h *server.Handle) *begun {
	v.t.Helper()
	return v.begin(h, server.Request{Op: pnp.OpIOControl, Code: image.IOCTL_WAIT_ON_DEVICE_EVENT, Out: make([]byte, reportPacket)})
}

// end waits for the end of a request.
func (b *begun) end() outcome {
	b.v.t.Helper()
	select {
	case o := <-b.ended:
		return o
	case <-time.After(patience):
		b.v.t.Fatal("the request hangs")
		panic("unreachable")
	}
}

// brings waits for data.
func (b *begun) brings(want []byte) {
	b.v.t.Helper()
	o := b.end()
	require.NoError(b.v.t, o.err)
	require.True(b.v.t, bytes.Equal(want, b.out[:o.n]), "%d bytes instead of %d", o.n, len(want))
}

// moves waits for the end of a request that moves n bytes.
func (b *begun) moves(n int) {
	b.v.t.Helper()
	require.Equal(b.v.t, outcome{n, nil}, b.end())
}

// fails waits for an error.
func (b *begun) fails(want pnp.HRESULT) {
	b.v.t.Helper()
	o := b.end()
	var got pnp.HRESULT
	require.ErrorAs(b.v.t, o.err, &got)
	require.Equal(b.v.t, want.Name(), got.Name())
}

// packets cuts data into packets, with an empty one behind them if empty is set.
func packets(data []byte, empty bool) (all [][]byte) {
	for ; len(data) > bulkPacket; data = data[bulkPacket:] {
		all = append(all, data[:bulkPacket])
	}
	if len(data) > 0 {
		all = append(all, data)
	}
	if empty {
		all = append(all, nil)
	}
	return all
}

// testReads: a short packet ends a read, an empty one is a read of nothing, and what comes
// beyond a read goes to the next. Several reads are with the device at a time.
func (v *vendor) testReads() {
	for _, c := range []struct {
		size  int
		empty bool
		room  int
		want  []int
	}{
		{100, false, 1024, []int{100}},
		{0, true, 1024, []int{0}},
		{1024, true, 1024, []int{1024, 0}},
		{1024, true, 2048, []int{1024}},
		{1024, false, 700, []int{700, 324}},
		{1<<20 - 3, false, 1 << 20, []int{1<<20 - 3}},
	} {
		data := pattern(c.size)
		v.Send(vendorIn, packets(data, c.empty)...)
		for _, n := range c.want {
			v.read(c.room).brings(data[:n])
			data = data[n:]
		}
	}
	data := pattern(4*bulkPacket - 1)
	all := []*begun{v.read(bulkPacket), v.read(2 * bulkPacket), v.read(bulkPacket)}
	v.Await(vendorIn, len(all))
	v.Send(vendorIn, packets(data, false)...)
	for _, b := range all {
		n := min(len(b.out), len(data))
		b.brings(data[:n])
		data = data[n:]
	}
}

// testWrites: a write is a transfer with its packets, and one of nothing an empty packet.
func (v *vendor) testWrites() {
	for _, size := range []int{0, 100, 2 * bulkPacket, 700_000} {
		data := pattern(size)
		w := v.write(data)
		got := v.Receive(vendorOut)
		for len(got) < size {
			got = append(got, v.Receive(vendorOut)...)
		}
		require.True(v.t, bytes.Equal(data, got), "%d bytes", size)
		w.moves(size)
	}
	all := []*begun{v.write([]byte("1")), v.write([]byte("22")), v.write([]byte("333"))}
	v.Await(vendorOut, len(all))
	for n, w := range all {
		require.Empty(v.t, w.ended)
		require.Len(v.t, v.Receive(vendorOut), n+1)
		w.moves(n + 1)
	}
}

// testReports: what the device reports goes to each handle, and is a custom event.
func (v *vendor) testReports() {
	other := v.open(v.d)
	first, second := v.wait(v.h), v.wait(v.h)
	for _, b := range []*begun{first, second} {
		v.Send(vendorReports, []byte("report"))
		b.brings([]byte("report"))
		v.wait(other).brings([]byte("report"))
		e := <-v.h.Events()
		require.Equal(v.t, image.GUID_DEVICE_EVENT, e.GUID)
		require.Equal(v.t, "report", string(e.Data))
	}
	require.NoError(v.t, other.Close())
}

// ioBlock is an IO_BLOCK_EX of a process with 64 bits.
func ioBlock(value, length, index uint32, request, kind, in byte) []byte {
	b := append(u32s(value, length, 0, 0, index), request, kind, in, 0)
	return b
}

func (v *vendor) request(code uint32, in []byte, room int) *begun {
	v.t.Helper()
	return v.begin(v.h, server.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: make([]byte, room)})
}

// testRequests: the vendor's requests and those of PTP reach the device. Others do not.
func (v *vendor) testRequests() {
	const classRequest, reset = 0x20, 0x66
	v.request(image.IOCTL_SEND_USB_REQUEST, ioBlock(7, 2, 9, 1, 0, 1), 2).brings([]byte{7, 9})
	require.Equal(v.t, gadgettest.Setup{Type: 0xC0, Request: 1, Value: 7, Index: 9, Length: 2}, <-v.requests)
	v.request(image.IOCTL_SEND_USB_REQUEST, append(ioBlock(7, 3, 9, 1, 0, 0), "abc"...), 0).moves(0)
	require.Equal(v.t, gadgettest.Setup{Type: 0x40, Request: 1, Value: 7, Index: 9, Length: 3}, <-v.requests)
	v.request(image.IOCTL_SEND_USB_REQUEST, ioBlock(7, 2, 9, 2, 0, 1), 2).fails(pnp.ERROR_GEN_FAILURE) // it stalls that
	<-v.requests
	v.request(image.IOCTL_SEND_USB_REQUEST_PTP, ioBlock(0, 0, 0, reset, 0, 0), 0).fails(pnp.ERROR_GEN_FAILURE)
	require.Equal(v.t, gadgettest.Setup{Type: 0x21, Request: reset}, <-v.requests)
	v.request(image.IOCTL_SEND_USB_REQUEST, ioBlock(0, 0, 0, 1, classRequest, 0), 0).fails(pnp.ERROR_ACCESS_DENIED)
	require.Empty(v.t, v.requests)
	device := v.control(v.h, image.IOCTL_GET_USB_DESCRIPTOR, []byte{1, 0, 0, 0}, 18)
	require.Equal(v.t, []byte{0x09, 0x12, 0x03, 0x00}, device[8:12])
}

// testCancel: the device does not see a cancelled write, and what came for a cancelled read
// goes to the next.
func (v *vendor) testCancel() {
	first, second := v.read(2*bulkPacket), v.read(bulkPacket)
	v.Await(vendorIn, 2)
	data := pattern(bulkPacket)
	v.Send(vendorIn, data) // half of the first
	first.cancel()
	first.fails(pnp.ERROR_OPERATION_ABORTED)
	v.Await(vendorIn, 1)
	v.Send(vendorIn, []byte("second"))
	second.brings([]byte("second"))
	v.read(bulkPacket).brings(data)

	one, two := v.write([]byte("one")), v.write([]byte("two"))
	v.Await(vendorOut, 2)
	one.cancel()
	one.fails(pnp.ERROR_OPERATION_ABORTED)
	v.Await(vendorOut, 1)
	require.Equal(v.t, "two", string(v.Receive(vendorOut)))
	two.moves(3)

	r, w, e := v.read(bulkPacket), v.write([]byte("x")), v.wait(v.h)
	v.Await(vendorIn, 1)
	v.Await(vendorOut, 1)
	v.control(v.h, image.IOCTL_CANCEL_IO, u32s(image.READ_DATA_PIPE), 0)
	r.fails(pnp.ERROR_OPERATION_ABORTED)
	require.Empty(v.t, w.ended)
	require.Empty(v.t, e.ended)
	v.control(v.h, image.IOCTL_CANCEL_IO, u32s(image.ALL_PIPE), 0)
	w.fails(pnp.ERROR_OPERATION_ABORTED)
	e.fails(pnp.ERROR_OPERATION_ABORTED)
	v.Await(vendorIn, 0)
	v.Await(vendorOut, 0)
}

// testLate: each pipe of a handle has a time-out of its own.
func (v *vendor) testLate() {
	const reads, writes, reports = 0, 1, 2
	for pipe := range 3 {
		seconds := []uint32{0, 0, 0}
		seconds[pipe] = 1
		v.control(v.h, image.IOCTL_SET_TIMEOUT, u32s(seconds...), 0)
		all := []*begun{v.read(bulkPacket), v.write([]byte("x")), v.wait(v.h)}
		all[pipe].fails(pnp.ERROR_SEM_TIMEOUT)
		switch pipe {
		case reads:
			require.Empty(v.t, all[writes].ended)
		case writes, reports:
			require.Empty(v.t, all[reads].ended)
		}
		v.control(v.h, image.IOCTL_CANCEL_IO, u32s(image.ALL_PIPE), 0)
		for other, b := range all {
			if other != pipe {
				b.fails(pnp.ERROR_OPERATION_ABORTED)
			}
		}
	}
	v.Await(vendorIn, 0)
	v.Await(vendorOut, 0)
	v.control(v.h, image.IOCTL_SET_TIMEOUT, u32s(120, 120, 0), 0)
}

// testHalt: a halted pipe fails until it is reset. The others go on.
func (v *vendor) testHalt() {
	all := []*begun{v.read(bulkPacket), v.read(bulkPacket)}
	v.Await(vendorIn, 2)
	v.Halt(vendorIn)
	for _, b := range append(all, v.read(bulkPacket)) {
		b.fails(pnp.ERROR_GEN_FAILURE)
	}
	w := v.write([]byte("x"))
	require.Equal(v.t, "x", string(v.Receive(vendorOut)))
	w.moves(1)
	v.control(v.h, image.IOCTL_RESET_PIPE, u32s(image.READ_DATA_PIPE), 0)
	v.Send(vendorIn, []byte("again"))
	v.read(bulkPacket).brings([]byte("again"))

	v.Halt(vendorOut)
	v.write([]byte("x")).fails(pnp.ERROR_GEN_FAILURE)
	e := v.wait(v.h)
	v.Halt(vendorReports)
	e.fails(pnp.ERROR_GEN_FAILURE)
	v.control(v.h, image.IOCTL_RESET_PIPE, u32s(image.ALL_PIPE), 0)
	e = v.wait(v.h)
	v.Send(vendorReports, []byte("again"))
	e.brings([]byte("again"))
	w = v.write([]byte("x"))
	v.Receive(vendorOut)
	w.moves(1)
}
