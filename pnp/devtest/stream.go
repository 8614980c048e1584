package devtest

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// testStreamOrder has reads wait and then feeds them: served in their order.
func testStreamOrder(t *testing.T, s *suite) {
	d := open(t, s.Device, ReadWrite)
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

	// The rest is there at once, for reads that nobody waits behind.
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
	d := open(t, s.Device, ReadWrite)
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

// testStreamWrites has writes wait for the other end: complete and in order,
// while a read that waits does not hold them up.
func testStreamWrites(t *testing.T, s *suite) {
	d := open(t, s.Device, ReadWrite)
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
		d.h.Cancel(reading.r)
		reading.aborted()
	}
}

// testStreamCancelLosesNothing lets data arrive just when the read that waits
// for it is cancelled: then the next read has it.
func testStreamCancelLosesNothing(t *testing.T, s *suite) {
	d := open(t, s.Device, ReadWrite)
	next := byte(0)
	take := func(c *call) {
		hr, n := c.wait()
		if hr == pnp.ERROR_OPERATION_ABORTED {
			require.Zero(t, n)
			return
		}
		require.Equal(t, pnp.S_OK, hr)
		for _, b := range c.r.Out[:n] {
			require.Equal(t, next, b, "a byte was lost or came twice")
			next++
		}
	}
	const rounds = 250 // fewer than there are byte values
	for i := range rounds {
		c := d.read(0, 2)
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			if i%2 == 0 {
				d.h.Cancel(c.r)
			}
		}()
		s.Feed([]byte{byte(i)})
		wg.Wait()
		take(c)
	}
	for next < rounds {
		take(d.read(0, 16))
	}
}
