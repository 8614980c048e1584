// SPDX-License-Identifier: Apache-2.0

package loopback

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

func milliseconds(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func TestSuite(t *testing.T) {
	echo := []byte("0123456789")
	control := func(name string, code uint32, in []byte, room int, result pnp.HRESULT, out []byte) acceptance.Control {
		return acceptance.Control{
			Template: acceptance.Template{Name: name, Op: pnp.OpIOControl, Code: code, In: in, Len: room},
			Result:   result, Out: out,
		}
	}
	acceptance.Run(t, acceptance.Fixture{
		AnyOpen:   true,
		AnyOffset: true,
		New: func(*testing.T) acceptance.Instance {
			d := New(DefaultDescription())
			content := acceptance.Pattern(Size)
			copy(d.store[:], content)
			return acceptance.Instance{
				Device:  d,
				Content: content,
				Blocking: []acceptance.Template{
					{Name: "wait for ever", Op: pnp.OpIOControl, Code: IOCTL_WAIT, In: milliseconds(Forever)},
					{Name: "wait for long", Op: pnp.OpIOControl, Code: IOCTL_WAIT, In: milliseconds(Forever - 1)},
				},
				Controls: []acceptance.Control{
					control("echo", IOCTL_ECHO, echo, 10, pnp.S_OK, echo),
					control("echo cut", IOCTL_ECHO, echo, 4, pnp.S_OK, echo[:4]),
					control("echo with room", IOCTL_ECHO, echo, 100, pnp.S_OK, echo),
					control("wait a little", IOCTL_WAIT, milliseconds(1), 0, pnp.S_OK, nil),
					control("wait for what", IOCTL_WAIT, nil, 0, pnp.ERROR_INVALID_PARAMETER, nil),
					control("event without receiver", IOCTL_RAISE_EVENT, make([]byte, 16), 0, pnp.S_OK, nil),
					control("half an event", IOCTL_RAISE_EVENT, make([]byte, 15), 0, pnp.ERROR_INVALID_PARAMETER, nil),
				},
			}
		},
	})
}

func TestRaiseEvent(t *testing.T) {
	d := New(DefaultDescription())
	var got []pnp.Event
	d.Notify(func(e pnp.Event) {
		e.Data = append([]byte(nil), e.Data...)
		got = append(got, e)
	})
	h, err := d.Open(pnp.OpenRequest{NoBlock: true})
	require.NoError(t, err)
	defer h.Close(func() {})
	guid := pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}")
	raise := func() {
		r := &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_RAISE_EVENT, In: append(guid[:], "data"...)}
		r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {})
		h.Submit(r)
		require.True(t, r.Completed())
	}
	raise()
	require.Equal(t, []pnp.Event{{GUID: guid, Data: []byte("data")}}, got)
	d.Notify(nil)
	raise()
	require.Len(t, got, 1)
}

// TestTheStoreIsShared: all handles share the store, which is zero at first.
func TestTheStoreIsShared(t *testing.T) {
	d := New(DefaultDescription())
	a, err := d.Open(pnp.OpenRequest{})
	require.NoError(t, err)
	b, err := d.Open(pnp.OpenRequest{})
	require.NoError(t, err)
	p := []byte("xxx")
	do(t, b, &pnp.Request{Op: pnp.OpRead, Offset: Size - 3, Out: p})
	require.Equal(t, make([]byte, 3), p)
	do(t, a, &pnp.Request{Op: pnp.OpWrite, Offset: Size - 3, In: []byte("end")})
	do(t, b, &pnp.Request{Op: pnp.OpRead, Offset: Size - 3, Out: p})
	require.Equal(t, "end", string(p))
	a.Close(func() {})
	b.Close(func() {})
}

func do(t *testing.T, h pnp.Handle, r *pnp.Request) {
	t.Helper()
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { require.Equal(t, pnp.S_OK, hr) })
	h.Submit(r)
	require.True(t, r.Completed())
	require.True(t, r.Completed())
}
