// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// outstanding is how many requests the concurrent tests have under way.
const outstanding = 32

func testRandomRead(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	for _, at := range []int{0, 1, 511, 4000, len(s.Content) - 7} {
		n := min(300, len(s.Content)-at)
		d.read(uint64(at), n).gives(pnp.S_OK, s.Content[at:at+n])
	}
	d.read(0, len(s.Content)).gives(pnp.S_OK, s.Content)
}

func testRandomWrite(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	data := []byte("sixteen bytes !!")
	d.write(100, data).ends(pnp.S_OK, len(data))
	want := append([]byte(nil), s.Content...)
	copy(want[100:], data)
	d.read(0, len(want)).gives(pnp.S_OK, want)
	open(t, s, s.Device, ReadWrite).read(0, len(want)).gives(pnp.S_OK, want)
}

func testRandomEnd(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	end := uint64(len(s.Content))
	d.read(end-5, 100).gives(pnp.S_OK, s.Content[end-5:])
	d.read(end, 1).ends(pnp.ERROR_HANDLE_EOF, 0)
	d.read(end+4096, 4096).ends(pnp.ERROR_HANDLE_EOF, 0)

	// C-19: what a file cannot hold. Memory holds every offset, past its end.
	for _, at := range []uint64{1 << 63, math.MaxUint64} {
		reading, writing := pnp.ERROR_INVALID_PARAMETER, pnp.ERROR_INVALID_PARAMETER
		if s.AnyOffset {
			reading, writing = pnp.ERROR_HANDLE_EOF, pnp.ERROR_DISK_FULL
		}
		d.read(at, 64).ends(reading, 0)
		d.write(at, make([]byte, 64)).ends(writing, 0)
	}
	for _, at := range []uint64{math.MaxInt64 - 64, math.MaxInt64 - 3, math.MaxInt64} {
		d.read(at, 64).ends(pnp.ERROR_HANDLE_EOF, 0)
	}

	data := Pattern(512)
	if s.Grows {
		d.write(end-256, data).ends(pnp.S_OK, 512)
		d.read(end-256, 1000).gives(pnp.S_OK, data)
		d.write(end+1024, data).ends(pnp.S_OK, 512)
		d.read(end+256, 768).gives(pnp.S_OK, make([]byte, 768)) // the hole
		return
	}
	d.write(end-256, data).ends(pnp.S_OK, 256)
	d.read(end-256, 512).gives(pnp.S_OK, data[:256])
	d.write(end, data).ends(pnp.ERROR_DISK_FULL, 0)
	d.write(end+1024, data).ends(pnp.ERROR_DISK_FULL, 0)
}

// testRandomConcurrent makes many requests at once, on several handles and in random
// order: each has the data of its own offset.
func testRandomConcurrent(t *testing.T, s *suite) {
	rnd := rand.New(rand.NewPCG(1, 2))
	half := len(s.Content) / 2
	ds := []*driver{open(t, s, s.Device, ReadWrite), open(t, s, s.Device, ReadWrite)}
	slot := half / outstanding // the second half is for the writes
	for range 8 {
		type expect struct {
			c    *call
			data []byte
		}
		var reads []expect
		var writes []*call
		for i := range outstanding {
			at := rnd.IntN(half - 8)
			n := 1 + rnd.IntN(half-at)
			reads = append(reads, expect{ds[i%2].read(uint64(at), n), s.Content[at : at+n]})
			data := Pattern(slot)
			data[0] = byte(rnd.Int())
			copy(s.Content[half+i*slot:], data)
			writes = append(writes, ds[i%2].write(uint64(half+i*slot), data))
		}
		rnd.Shuffle(len(reads), func(i, j int) { reads[i], reads[j] = reads[j], reads[i] })
		for _, r := range reads {
			r.c.gives(pnp.S_OK, r.data)
		}
		for _, w := range writes {
			w.ends(pnp.S_OK, slot)
		}
	}
	c := ds[0].read(0, len(s.Content))
	hr, n := c.wait()
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, len(s.Content), n)
	require.True(t, string(s.Content) == string(c.r.Out), "a write went astray")
}
