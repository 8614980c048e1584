// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

const limit = 1024

// limitedHandle opens a handle over a transport that carries messages of up to
// limit bytes.
func limitedHandle(t *testing.T, opt server.OpenOptions) (*server.Handle, *servertest.Channel) {
	f := servertest.Started(t, server.Config{})
	f.Client.Attached = func(ch *servertest.Channel) { ch.Max = limit }
	return f.Open(f.AddDevice(4), wire.VersionWithCustomEvents, opt)
}

func TestWriteIsSplit(t *testing.T) {
	const most = limit - wire.WriteRequestSize
	for _, test := range []struct{ size, requests int }{
		{0, 1}, {1, 1}, {most, 1}, {most + 1, 2}, {2 * most, 2}, {5000, 5},
	} {
		h, ch := limitedHandle(t, server.OpenOptions{})
		data := make([]byte, test.size)
		for i := range data {
			data[i] = byte(i * 7)
		}
		r := servertest.Go(func() (int, error) { return h.WriteAt(bg, data, 1<<40) })
		var got []byte
		for range test.requests {
			msg := ch.Next()
			assert.LessOrEqual(t, len(msg), limit)
			decoded, err := wire.Decode(msg, wire.IOToClient)
			require.NoError(t, err)
			m := decoded.WriteRequest()
			assert.Equal(t, 1<<40+uint64(len(got)), m.Offset)
			got = append(got, m.Data...)
			inject(t, ch, wire.WriteReply{RequestID: m.RequestID, CbBytesWritten: uint32(len(m.Data))}.Append(nil))
		}
		assert.Equal(t, servertest.Result{N: test.size}, servertest.Wait(t, "WriteAt", r))
		assert.True(t, bytes.Equal(data, got))
	}
}

// TestSplitWriteStops: nothing is written behind a part that failed or fell short.
func TestSplitWriteStops(t *testing.T) {
	const most = limit - wire.WriteRequestSize
	for _, second := range []wire.WriteReply{
		{Result: pnp.ERROR_DISK_FULL, CbBytesWritten: 3},
		{CbBytesWritten: 3},
	} {
		h, ch := limitedHandle(t, server.OpenOptions{})
		r := servertest.Go(func() (int, error) { return h.WriteAt(bg, make([]byte, 5000), 0) })
		m := servertest.NextAs[wire.WriteRequest](ch)
		inject(t, ch, wire.WriteReply{RequestID: m.RequestID, CbBytesWritten: most}.Append(nil))
		second.RequestID = servertest.NextAs[wire.WriteRequest](ch).RequestID
		inject(t, ch, second.Append(nil))
		got := servertest.Wait(t, "WriteAt", r)
		assert.Equal(t, most+3, got.N)
		assert.ErrorIs(t, got.Err, second.Result.Err())
	}
}

func TestSplitWriteDoesNotWrap(t *testing.T) {
	h, ch := limitedHandle(t, server.OpenOptions{})
	_, err := h.WriteAt(bg, make([]byte, limit), math.MaxUint64-10)
	assert.ErrorIs(t, err, pnp.ERROR_INVALID_PARAMETER)
	// In one message it is for the client to judge.
	r := servertest.Go(func() (int, error) { return h.WriteAt(bg, make([]byte, 20), math.MaxUint64-10) })
	m := servertest.NextAs[wire.WriteRequest](ch)
	assert.Equal(t, uint64(math.MaxUint64-10), m.Offset)
	inject(t, ch, wire.WriteReply{RequestID: m.RequestID, Result: pnp.ERROR_INVALID_PARAMETER}.Append(nil))
	servertest.Wait(t, "WriteAt", r)
}

func TestLongIOControlIsNotSent(t *testing.T) {
	const most = limit - wire.IOControlRequestSize
	h, ch := limitedHandle(t, server.OpenOptions{DataOut: true})
	for _, test := range []struct {
		in, out int
		fits    bool
	}{
		{most + 1, 0, false}, {most, 1, false}, {10, most, false}, {0, most, true}, {most, 0, true},
	} {
		r := servertest.Go(func() (int, error) {
			return h.IOControl(bg, 7, make([]byte, test.in), make([]byte, test.out))
		})
		if !test.fits {
			got := servertest.Wait(t, "IOControl", r)
			assert.ErrorIs(t, got.Err, channels.ErrTooLong)
			continue
		}
		// What did not fit was not sent before.
		m := servertest.NextAs[wire.IOControlRequest](ch)
		assert.Equal(t, []int{test.in, test.out}, []int{len(m.DataIn), len(m.DataOut)})
		inject(t, ch, wire.DataReply{RequestID: m.RequestID}.Append(nil))
		servertest.Wait(t, "IOControl", r)
	}
	require.NoError(t, h.Err())
}
