// SPDX-License-Identifier: Apache-2.0

package epm

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var iface = dcerpc.Syntax{UUID: pnp.MustGUID("01020304-0506-0708-090a-0b0c0d0e0f10"), Major: 3}

// makeTower returns a tower of floors that are pairs of protocol and address.
func makeTower(floors ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(len(floors)/2))
	for _, part := range floors {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b
}

// towerOf is what clients ask for, or get: the syntaxes, the protocol and below.
func towerOf(s dcerpc.Syntax, lower ...[]byte) []byte {
	return makeTower(slices.Concat([][]byte{
		interfaceFloor(s), {0, 0},
		interfaceFloor(dcerpc.NDR), {0, 0},
		{0x0b}, {0, 0},
	}, lower)...)
}

func TestComplete(t *testing.T) {
	ip := []byte{127, 0, 0, 1}
	other := iface
	other.Major = 4
	at := Endpoint{Socket: "srvsvc", Port: 0x1234}
	for _, test := range []struct {
		name  string
		asked []byte
		at    Endpoint
		want  []byte
	}{
		{"TCP", towerOf(iface, []byte{7}, []byte{0, 135}, []byte{9}, ip), at,
			towerOf(iface, []byte{7}, []byte{0x12, 0x34}, []byte{9}, ip)},
		{"socket", towerOf(iface, []byte{16}, []byte{0}), at, towerOf(iface, []byte{16}, []byte("srvsvc\x00"))},
		{"no TCP", towerOf(iface, []byte{7}, []byte{0, 135}, []byte{9}, ip), Endpoint{Socket: "srvsvc"}, nil},
		{"no socket", towerOf(iface, []byte{16}, []byte{0}), Endpoint{Port: 1}, nil},
		{"another interface", towerOf(other, []byte{16}, []byte{0}), at, nil},
		{"another protocol", towerOf(iface, []byte{8}, []byte{0}, []byte{9}, ip), at, nil},
		{"SMB", towerOf(iface, []byte{16}, []byte{0}, []byte{17}, []byte{0}), at, nil},
		{"TCP without IP", towerOf(iface, []byte{7}, []byte{0, 135}, []byte{8}, ip), at, nil},
		{"long protocol", towerOf(iface, []byte{7, 7}, []byte{0, 135}, []byte{9}, ip), at, nil},
		{"no protocol", towerOf(iface), at, nil},
		{"empty", nil, at, nil},
	} {
		assert.Equal(t, test.want, complete(test.asked, iface, test.at), test.name)
		for n := range test.asked {
			assert.Nil(t, complete(test.asked[:n], iface, test.at), "%s, cut", test.name)
		}
	}
}

func call(t testing.TB, p mapParams) mapParams {
	c := ndr.NewEncoder()
	p.in(c)
	require.NoError(t, c.Err())
	stub, err := eptMap(&dcerpc.Call{Stub: c.Stub(), Order: binary.LittleEndian}, iface, Endpoint{Port: 1})
	require.NoError(t, err)
	var out mapParams
	c = ndr.NewDecoder(stub, binary.LittleEndian)
	out.out(c)
	require.NoError(t, c.Err())
	assert.Zero(t, c.Rest())
	return out
}

func TestMap(t *testing.T) {
	asked := &twr{towerOf(iface, []byte{7}, []byte{0, 135}, []byte{9}, []byte{127, 0, 0, 1})}
	out := call(t, mapParams{object: &pnp.GUID{}, tower: asked, most: 5})
	assert.Zero(t, out.status)
	require.Len(t, out.towers, 1)
	assert.Equal(t, complete(asked.octets, iface, Endpoint{Port: 1}), out.towers[0].octets)

	for _, in := range []mapParams{{tower: asked}, {most: 5}, {tower: &twr{[]byte{1}}, most: 5}} {
		out := call(t, in)
		assert.EqualValues(t, notRegistered, out.status)
		assert.Empty(t, out.towers)
	}

	for _, tower := range [][]byte{make([]byte, maxTower+1), make([]byte, maxTower)} {
		c := ndr.NewEncoder()
		p := mapParams{tower: &twr{tower}, most: 1}
		p.in(c)
		_, err := eptMap(&dcerpc.Call{Stub: c.Stub(), Order: binary.LittleEndian}, iface, Endpoint{})
		assert.Equal(t, len(tower) > maxTower, err != nil)
	}
}

// TestServe asks over a connection, as a client does.
func TestServe(t *testing.T) {
	peer, conn := net.Pipe()
	done := make(chan error, 1)
	mapper := New(iface, Endpoint{Socket: "srvsvc"}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	go func() { done <- mapper.Serve(context.Background(), conn, nil) }()
	ask := func(kind byte, body []byte) []byte {
		pdu := append([]byte{5, 0, kind, 3, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, body...)
		binary.LittleEndian.PutUint16(pdu[8:], uint16(len(pdu)))
		_, err := peer.Write(pdu)
		require.NoError(t, err)
		answer := make([]byte, 4280)
		n, err := peer.Read(answer)
		require.NoError(t, err)
		return answer[:n]
	}
	c := ndr.NewEncoder()
	for _, s := range []dcerpc.Syntax{syntax, dcerpc.NDR} {
		c.GUID(&s.UUID)
		c.Uint16(&s.Major)
		c.Uint16(&s.Minor)
	}
	ack := ask(11, append([]byte{0xb8, 0x10, 0xb8, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0}, c.Stub()...))
	assert.EqualValues(t, 12, ack[2])

	c = ndr.NewEncoder()
	p := mapParams{tower: &twr{towerOf(iface, []byte{16}, []byte{0})}, most: 1}
	p.in(c)
	response := ask(0, append([]byte{0, 0, 0, 0, 0, 0, opnumMap, 0}, c.Stub()...))
	require.EqualValues(t, 2, response[2])
	assert.Contains(t, string(response), "srvsvc\x00")
	fault := ask(0, []byte{0, 0, 0, 0, 0, 0, 2, 0})
	assert.EqualValues(t, 3, fault[2], "ept_lookup")
	peer.Close()
	assert.NoError(t, <-done)
}

func FuzzMap(f *testing.F) {
	c := ndr.NewEncoder()
	p := mapParams{tower: &twr{towerOf(iface, []byte{7}, []byte{0, 135}, []byte{9}, []byte{127, 0, 0, 1})}, most: 5}
	p.in(c)
	f.Add(c.Stub())
	f.Fuzz(func(t *testing.T, stub []byte) {
		stub, err := eptMap(&dcerpc.Call{Stub: stub, Order: binary.LittleEndian}, iface, Endpoint{Port: 1})
		if err != nil {
			return
		}
		var out mapParams
		c := ndr.NewDecoder(stub, binary.LittleEndian)
		out.out(c)
		require.NoError(t, c.Err())
		assert.Zero(t, c.Rest())
	})
}
