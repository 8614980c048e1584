// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

func testDescription(t *testing.T, s *suite) {
	d := s.Device.Description()
	require.NotNil(t, d)
	before := *d
	open(t, s, s.Device, ReadWrite).close()
	require.Same(t, d, s.Device.Description(), "another description each time")
	require.Equal(t, before, *d)
}

func testOpenClose(t *testing.T, s *suite) {
	// An exclusive open works right after a close: Close gives the share mode up
	// before it returns, even if the descriptor is closed later.
	r := ReadWrite
	r.Share = 0
	var opened []*driver
	for range 32 {
		d := open(t, s, s.Device, r)
		d.end()
		opened = append(opened, d)
	}
	for _, d := range opened {
		d.close()
	}
}

func testOpenConcurrently(t *testing.T, s *suite) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			h, err := s.Device.Open(ReadWrite)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			released := make(chan struct{})
			h.Close(func() { close(released) })
			within(t, "the handle is released", func() { <-released })
		}()
	}
	wg.Wait()
}

func testNoBlock(t *testing.T, s *suite) {
	r := ReadWrite
	r.NoBlock, r.Share = true, 0
	h, err := s.Device.Open(r)
	if err == nil {
		s.driver(t, h).close()
	} else {
		require.True(t, errors.Is(err, pnp.ErrWouldBlock), "%v", err)
	}
	// Either way nothing is left: an exclusive open is possible.
	r.NoBlock = false
	open(t, s, s.Device, r)
}

func testShare(t *testing.T, s *suite) {
	const rd, wr = pnp.FILE_SHARE_READ, pnp.FILE_SHARE_WRITE
	for _, c := range []struct {
		access1, share1, access2, share2 uint32
		ok                               bool
	}{
		{pnp.GENERIC_READ, rd | wr, pnp.GENERIC_READ, rd | wr, true},
		{pnp.GENERIC_READ, rd, pnp.GENERIC_READ, rd, true},
		{pnp.GENERIC_READ, rd, pnp.GENERIC_WRITE, rd | wr, false},
		{pnp.GENERIC_READ, rd | wr, pnp.GENERIC_WRITE, wr, false},
		{pnp.GENERIC_READ, rd | wr, pnp.GENERIC_WRITE, rd, true},
		{pnp.GENERIC_READ, 0, pnp.GENERIC_READ, rd | wr, false},
		{pnp.GENERIC_READ, rd | wr, pnp.GENERIC_READ, 0, false},
		{ReadWrite.Access, 0, ReadWrite.Access, 0, false},
		{ReadWrite.Access, rd, ReadWrite.Access, rd | wr, false},
		{ReadWrite.Access, rd | wr, ReadWrite.Access, rd | wr, true},
	} {
		r := ReadWrite
		r.Access, r.Share = c.access1, c.share1
		first := open(t, s, s.Device, r)
		r.Access, r.Share = c.access2, c.share2
		h, err := s.Device.Open(r)
		if c.ok {
			require.NoError(t, err, "%+v", c)
			s.driver(t, h).close()
		} else {
			require.Equal(t, pnp.ERROR_SHARING_VIOLATION.Name(), pnp.HRESULTOf(err).Name(), "%+v", c)
			require.Nil(t, h)
		}
		first.close()
		if !c.ok {
			open(t, s, s.Device, r).close() // and now it can
		}
	}
}

func testAccess(t *testing.T, s *suite) {
	r := ReadWrite
	r.Access = pnp.GENERIC_WRITE
	open(t, s, s.Device, r).read(0, 16).ends(pnp.ERROR_ACCESS_DENIED, 0)
	r.Access = pnp.GENERIC_READ
	open(t, s, s.Device, r).write(0, []byte("no")).ends(pnp.ERROR_ACCESS_DENIED, 0)
	r.Access = 0
	d := open(t, s, s.Device, r)
	d.read(0, 16).ends(pnp.ERROR_ACCESS_DENIED, 0)
	d.write(0, []byte("no")).ends(pnp.ERROR_ACCESS_DENIED, 0)
	// C-38: bits that mean nothing here are ignored.
	r = ReadWrite
	r.Access, r.Share, r.Flags = r.Access|0x011F01FF, r.Share|0xFFFFFF04, 0xFFFFFFFF
	open(t, s, s.Device, r)
}

func testReadOnly(t *testing.T, s *suite) {
	d := open(t, s, s.ReadOnly, ReadWrite) // C-38
	d.write(0, []byte("no")).ends(pnp.ERROR_ACCESS_DENIED, 0)
	d.write(1<<40, nil).ends(pnp.ERROR_ACCESS_DENIED, 0)
	if s.Content != nil {
		d.read(0, 64).gives(pnp.S_OK, s.Content[:64])
	}
	// The granted access counts: two readers that share only reading agree.
	r := ReadWrite
	r.Share = pnp.FILE_SHARE_READ
	open(t, s, s.ReadOnly, r).close()
	d.close()
	open(t, s, s.ReadOnly, r)
	open(t, s, s.ReadOnly, r)
	r = ReadWrite
	r.Access = pnp.GENERIC_WRITE
	_, err := s.ReadOnly.Open(r)
	require.Equal(t, pnp.ERROR_ACCESS_DENIED.Name(), pnp.HRESULTOf(err).Name(), "nothing of what is asked can be granted")
}

func testZeroLength(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	d.read(0, 0).ends(pnp.S_OK, 0)
	d.write(0, nil).ends(pnp.S_OK, 0)
	d.read(1<<40, 0).ends(pnp.S_OK, 0)
	for _, b := range s.Blocking {
		c := d.start(b)
		if b.Op == pnp.OpRead {
			// It does not wait, whatever is before it.
			d.read(0, 0).ends(pnp.S_OK, 0)
		}
		d.cancel(c)
		c.aborted()
	}
}

// testAfterClose submits each kind of request after Close: it fails, and does not use
// the descriptor, whose number may have been reused by then.
func testAfterClose(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	d.close()
	ms := []Template{
		{Op: pnp.OpRead}, {Op: pnp.OpRead, Len: 64},
		{Op: pnp.OpWrite}, {Op: pnp.OpWrite, Len: 64},
		{Op: pnp.OpIOControl, Code: UnknownControl},
	}
	for _, c := range s.Controls {
		ms = append(ms, c.Template)
	}
	for _, m := range append(ms, s.Blocking...) {
		c := d.prepare(m)
		d.h.Submit(c.r)
		hr, n := c.wait()
		require.True(t, hr.Failed(), "%v 0x%08X of %d bytes after Close: %v", m.Op, m.Code, m.Len, hr)
		require.Zero(t, n)
	}
}

func testIOControl(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	d.start(Template{Op: pnp.OpIOControl, Code: UnknownControl, In: []byte{1}, Len: 8}).ends(pnp.ERROR_INVALID_FUNCTION, 0)
	d.start(Template{Op: pnp.OpIOControl, Code: UnknownControl}).ends(pnp.ERROR_INVALID_FUNCTION, 0)
	for _, c := range s.Controls {
		d.start(c.Template).gives(c.Result, c.Out)
	}
}
