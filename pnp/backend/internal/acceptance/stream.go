// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// testStreamOrder lets reads wait and then feeds data: they get it in order.
func testStreamOrder(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	data := Pattern(4 * outstanding)
	var reads []*call
	for i := range outstanding {
		reads = append(reads, d.read(uint64(i)<<40, 4)) // offsets mean nothing
	}
	settle()
	for _, r := range reads {
		r.pending()
	}
	s.Feed(data)
	var got []byte
	for _, r := range reads {
		hr, n := r.wait()
		require.Equal(t, pnp.S_OK, hr)
		require.NotZero(t, n)
		got = append(got, r.r.Out[:n]...)
	}
	require.Equal(t, data[:len(got)], got)

	// The rest is there already when the next reads arrive.
	for len(got) < len(data) {
		r := d.read(0, 3)
		hr, n := r.wait()
		require.Equal(t, pnp.S_OK, hr)
		got = append(got, r.r.Out[:n]...)
	}
	require.Equal(t, data, got)
}

// testStreamShortRead asks for more than there is.
func testStreamShortRead(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	waiting := d.read(0, 1<<16)
	settle()
	waiting.pending()
	s.Feed([]byte{0, 3, 4, 17, 19, 26, 28, 127, 128, 255}) // 8-bit clean
	hr, n := waiting.wait()
	require.Equal(t, pnp.S_OK, hr)
	got := append([]byte(nil), waiting.r.Out[:n]...)
	for len(got) < 10 {
		c := d.read(0, 1<<16)
		hr, n = c.wait()
		require.Equal(t, pnp.S_OK, hr)
		got = append(got, c.r.Out[:n]...)
	}
	require.Equal(t, []byte{0, 3, 4, 17, 19, 26, 28, 127, 128, 255}, got)
}

// testStreamWrites lets writes wait for the other end: they are written completely and
// in order, and a read that waits does not hold them up.
func testStreamWrites(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	var reading *call
	for _, b := range s.Blocking {
		if b.Op == pnp.OpRead {
			reading = d.start(b)
		}
	}
	all := Pattern(outstanding * 3000)
	all[0], all[1], all[2] = '\n', 0x11, 0x13 // 8-bit clean
	var writes []*call
	for i := range outstanding {
		writes = append(writes, d.write(0, all[i*3000:(i+1)*3000]))
	}
	var got []byte
	within(t, "everything written arrives", func() { got = s.Sink(len(all)) })
	require.True(t, string(all) == string(got), "what arrives differs from what was written")
	for _, w := range writes {
		w.ends(pnp.S_OK, 3000)
	}
	if reading != nil {
		reading.pending()
		d.cancel(reading)
		reading.aborted()
	}
}

// testStreamCancelLosesNothing cancels reads at any moment while data arrives: each
// byte is read once and in order.
func testStreamCancelLosesNothing(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	const total = 20_000
	value := func(i int) byte { return byte(i % 251) }
	var feeding sync.WaitGroup
	defer feeding.Wait()
	feeding.Add(1)
	go func() {
		defer feeding.Done()
		for at := 0; at < total; {
			n := min(1+at%7, total-at)
			data := make([]byte, n)
			for i := range data {
				data[i] = value(at + i)
			}
			s.Feed(data)
			at += n
			if at%5 == 0 {
				runtime.Gosched() // so that some reads have to wait
			}
		}
	}()
	for next, i := 0, 0; next < total; i++ {
		c := d.read(0, 1+i%9)
		if i%2 == 0 {
			for range i % 5 {
				runtime.Gosched()
			}
			d.cancel(c)
		}
		hr, n := c.wait()
		if hr == pnp.ERROR_OPERATION_ABORTED {
			require.Zero(t, n)
			continue
		}
		require.Equal(t, pnp.S_OK, hr)
		for _, b := range c.r.Out[:n] {
			require.Equal(t, value(next), b, "byte %d was lost or came twice", next)
			next++
		}
	}
}
