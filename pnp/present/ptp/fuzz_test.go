// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// script is a device that sends what it is told to: a byte says how much a read brings.
type script struct{ rest []byte }

func (d *script) MaxWrite() int { return longest }

func (d *script) Start(r server.Request) (func(), error) {
	n, err := len(r.In), error(nil)
	if r.Op == pnp.OpRead {
		if n = 0; len(d.rest) == 0 {
			err = io.EOF
		} else {
			size := int(d.rest[0])
			n = copy(r.Out, d.rest[1:min(1+size, len(d.rest))])
			d.rest = d.rest[1+n:]
		}
	}
	r.Done(n, err)
	return func() {}, nil
}

// answer is an answer with data, in two transfers.
func answer(data []byte, results ...uint32) []byte {
	part := func(kind, code uint16, body []byte) []byte {
		b := append(header(uint32(headerSize+len(body)), kind, code, 0), body...)
		return append([]byte{byte(len(b))}, b...)
	}
	var b, numbers []byte
	if data != nil {
		b = part(kindData, 1, data)
	}
	for _, n := range results {
		numbers = le.AppendUint32(numbers, n)
	}
	return append(b, part(kindResponse, uint16(OK), numbers)...)
}

// conversation is what a device says that is asked as FuzzDevice does.
func conversation() []byte {
	info := append(make([]byte, 8+1+2), 1, 0, 0, 0, 0x1B, 0x10)
	info = append(info, make([]byte, 4*4+2)...)
	storage := append(make([]byte, 2+2+2+8+8+4), 2, 'A', 0, 0, 0, 0)
	object := append(make([]byte, 52), 2, 'B', 0, 0, 0, 0, 0, 0)
	return bytes.Join([][]byte{
		answer(nil), answer(info), answer([]byte{1, 0, 0, 0, 1, 0, 1, 0}), answer(storage),
		answer([]byte{1, 0, 0, 0, 7, 0, 0, 0}), answer(object), answer([]byte("abc")), answer([]byte("abc")),
		answer(nil, 1, 2, 3), answer(nil), answer(nil), answer(nil),
	}, nil)
}

// talk asks a device of everything, and returns the last error.
func talk(t *testing.T, data []byte) (last error) {
	check := func(err error) {
		if err != nil {
			last = err
		}
	}
	ctx := context.Background()
	s, err := Open(ctx, &script{data}, time.Minute)
	if err != nil {
		return err
	}
	_, err = s.Storages(ctx)
	check(err)
	_, err = s.Children(ctx, 1, 0)
	check(err)
	o, err := s.Object(ctx, 7)
	if check(err); err == nil && len(o.Name) > 3*255 {
		t.Errorf("a name of %d bytes", len(o.Name))
	}
	p := make([]byte, 3)
	n, err := s.ReadAt(ctx, 7, p, 0)
	if check(err); n > len(p) {
		t.Errorf("%d bytes", n)
	}
	var whole bytes.Buffer
	if check(s.Get(ctx, 7, 3, &whole)); whole.Len() > 3 {
		t.Errorf("%d bytes", whole.Len())
	}
	_, err = s.Send(ctx, 1, 0, "name", 3, bytes.NewReader(p))
	check(err)
	check(s.Delete(ctx, 7))
	check(s.Close(ctx))
	return last
}

func TestConversation(t *testing.T) { require.NoError(t, talk(t, conversation())) }

// FuzzDevice: whatever a device sends, it is not more than what was asked for, and the
// session ends in an error at worst.
func FuzzDevice(f *testing.F) {
	f.Add(conversation())
	f.Fuzz(func(t *testing.T, data []byte) { _ = talk(t, data) })
}
