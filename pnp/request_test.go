// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"freerdp-pnpdr/pnp"
)

// TestCompleteExactlyOnce lets goroutines race for one request after the other;
// they wait for each other before each, so that they come at the same moment.
func TestCompleteExactlyOnce(t *testing.T) {
	const n, racers = 20_000, 2
	var requests [n]pnp.Request
	var arrived, calls, wins [n]atomic.Int32
	var winner, result [n]atomic.Uint32
	for i := range requests {
		r := &requests[i]
		r.Op, r.Out = pnp.OpRead, make([]byte, racers)
		r.OnComplete(func(got *pnp.Request, hr pnp.HRESULT, n int) {
			calls[i].Add(1)
			result[i].Store(uint32(hr))
			if got != r || n != int(hr) {
				t.Errorf("completed with %v, %d", hr, n)
			}
		})
		if r.Completed() {
			t.Fatal("a new request is complete")
		}
	}
	var all sync.WaitGroup
	for racer := range racers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range requests {
				arrived[i].Add(1)
				for spins := 0; arrived[i].Load() < racers; spins++ {
					if spins > 1000 {
						runtime.Gosched()
					}
				}
				if requests[i].Complete(pnp.HRESULT(racer), racer) {
					wins[i].Add(1)
					winner[i].Store(uint32(racer))
				}
				if !requests[i].Completed() {
					t.Error("not complete after Complete")
				}
			}
		}()
	}
	all.Wait()
	for i := range requests {
		if calls[i].Load() != 1 || wins[i].Load() != 1 || result[i].Load() != winner[i].Load() {
			t.Fatalf("request %d: %d calls, %d winners, result %d of %d",
				i, calls[i].Load(), wins[i].Load(), result[i].Load(), winner[i].Load())
		}
	}
}

func TestCompleteClamps(t *testing.T) {
	const big = int(^uint(0) >> 1)
	for _, c := range []struct {
		op      pnp.Op
		in, out int
		n, want int
	}{
		{pnp.OpRead, 0, 8, 8, 8},
		{pnp.OpRead, 0, 8, 9, 8},
		{pnp.OpRead, 0, 8, big, 8},
		{pnp.OpRead, 0, 8, -1, 0},
		{pnp.OpRead, 0, 0, 1, 0},
		{pnp.OpIOControl, 16, 8, 12, 8}, // the room is Out, not In
		{pnp.OpIOControl, 16, 0, 16, 0},
		{pnp.OpIOControl, 4, 8, 8, 8},
		{pnp.OpWrite, 8, 0, 8, 8}, // what is taken is from In
		{pnp.OpWrite, 8, 0, 9, 8},
		{pnp.OpWrite, 0, 8, 8, 0},
		{pnp.OpWrite, 8, 0, -big - 1, 0},
	} {
		for _, hr := range []pnp.HRESULT{pnp.S_OK, pnp.ERROR_MORE_DATA} {
			r := &pnp.Request{Op: c.op, In: make([]byte, c.in), Out: make([]byte, c.out)}
			got, gotHR := -1, pnp.E_FAIL
			r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { got, gotHR = n, hr })
			r.Complete(hr, c.n)
			if got != c.want || gotHR != hr {
				t.Errorf("%+v: completed with %v, %d", c, gotHR, got)
			}
		}
	}
}

// TestBuffersAreFreedOnce: after Complete and the last Release, in any order.
func TestBuffersAreFreedOnce(t *testing.T) {
	for _, steps := range []string{"C", "HCR", "HRC", "HHRCR", "HHCRR", "CC", "HCCR"} {
		r := &pnp.Request{}
		freed := 0
		r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {
			if freed > 0 {
				t.Errorf("%s: freed before it was completed", steps)
			}
		})
		r.OnFree(func(*pnp.Request) { freed++ })
		for i, step := range steps {
			if freed > 0 && step != 'C' {
				t.Errorf("%s: freed before step %d", steps, i)
			}
			switch step {
			case 'C':
				r.Complete(pnp.S_OK, 0)
			case 'H':
				r.Hold()
			case 'R':
				r.Release()
			}
		}
		if freed != 1 {
			t.Errorf("%s: freed %d times", steps, freed)
		}
	}
}

func TestOpNames(t *testing.T) {
	for op, want := range map[pnp.Op]string{pnp.OpRead: "Read", pnp.OpWrite: "Write", pnp.OpIOControl: "IOControl", 9: "unknown operation"} {
		if op.String() != want {
			t.Errorf("%q, not %q", op, want)
		}
	}
}

func TestOpenRequestAccess(t *testing.T) {
	for access, want := range map[uint32]struct{ read, write bool }{
		0:                                     {},
		pnp.GENERIC_READ:                      {read: true},
		pnp.GENERIC_WRITE:                     {write: true},
		pnp.GENERIC_READ | pnp.GENERIC_WRITE:  {true, true}, // what Windows asks for
		pnp.GENERIC_ALL:                       {true, true},
		pnp.MAXIMUM_ALLOWED:                   {true, true},
		pnp.FILE_READ_DATA:                    {read: true},
		pnp.FILE_WRITE_DATA:                   {write: true},
		pnp.FILE_APPEND:                       {write: true},
		0x00120080:                            {}, // SYNCHRONIZE, READ_CONTROL, FILE_READ_ATTRIBUTES
		pnp.FILE_READ_DATA | pnp.FILE_APPEND:  {true, true},
		0x20000000:                            {}, // GENERIC_EXECUTE
		pnp.GENERIC_READ | 0x00100000 | 0x180: {read: true},
	} {
		r := pnp.OpenRequest{Access: access}
		if r.WantsRead() != want.read || r.WantsWrite() != want.write {
			t.Errorf("0x%08x: read %v, write %v", access, r.WantsRead(), r.WantsWrite())
		}
	}
}

func TestConstants(t *testing.T) {
	for name, c := range map[string][2]uint32{
		"GENERIC_READ":      {pnp.GENERIC_READ, 0x80000000},
		"GENERIC_WRITE":     {pnp.GENERIC_WRITE, 0x40000000},
		"GENERIC_ALL":       {pnp.GENERIC_ALL, 0x10000000},
		"MAXIMUM_ALLOWED":   {pnp.MAXIMUM_ALLOWED, 0x02000000},
		"FILE_SHARE_READ":   {pnp.FILE_SHARE_READ, 1},
		"FILE_SHARE_WRITE":  {pnp.FILE_SHARE_WRITE, 2},
		"CREATE_NEW":        {pnp.CREATE_NEW, 1},
		"CREATE_ALWAYS":     {pnp.CREATE_ALWAYS, 2},
		"OPEN_EXISTING":     {pnp.OPEN_EXISTING, 3},
		"OPEN_ALWAYS":       {pnp.OPEN_ALWAYS, 4},
		"TRUNCATE_EXISTING": {pnp.TRUNCATE_EXISTING, 5},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is 0x%x, not 0x%x", name, c[0], c[1])
		}
	}
}
