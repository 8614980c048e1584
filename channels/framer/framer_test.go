// SPDX-License-Identifier: Apache-2.0

package framer_test

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/framer"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// conversation is what is sent on a channel, and what comes back.
type conversation struct {
	name    string
	sent    [][]byte
	replies [][]byte
}

func (c *conversation) stream() []byte { return bytes.Join(c.replies, nil) }

// check reads the replies from r, and fails if they are not those that were sent.
func (c *conversation) check(r io.Reader) error {
	f := framer.New(c.name, r)
	for _, msg := range c.sent {
		if err := f.Sent(msg); err != nil {
			return err
		}
	}
	for i, want := range c.replies {
		got, err := f.Next()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("message %d: %x, not %x", i, got, want)
		}
	}
	for range 2 {
		if msg, err := f.Next(); err != io.EOF {
			return fmt.Errorf("behind the end: %x, %w", msg, err)
		}
	}
	return nil
}

// checkCuts checks the stream cut at every byte, and cut everywhere.
func (c *conversation) checkCuts(t *testing.T) {
	t.Helper()
	stream := c.stream()
	require.NoError(t, c.check(iotest.OneByteReader(bytes.NewReader(stream))))
	require.NoError(t, c.check(iotest.DataErrReader(bytes.NewReader(stream))))
	require.NoError(t, c.check(bytes.NewReader(stream)))
	for cut := range stream {
		if err := c.check(io.MultiReader(bytes.NewReader(stream[:cut]), bytes.NewReader(stream[cut:]))); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// checkEnds checks that a stream that ends at any byte yields whole messages only.
func (c *conversation) checkEnds(t *testing.T) {
	t.Helper()
	stream := c.stream()
	for end := range stream {
		f := framer.New(c.name, bytes.NewReader(stream[:end]))
		for _, msg := range c.sent {
			require.NoError(t, f.Sent(msg))
		}
		var got []byte
		var err error
		for msg := []byte(nil); err == nil; msg, err = f.Next() {
			got = append(got, msg...)
		}
		want := io.ErrUnexpectedEOF
		if len(got) == end {
			want = io.EOF
		}
		if err != want || !bytes.HasPrefix(stream, got) {
			t.Fatalf("a stream that ends at %d: %v, not %v, %x", end, err, want, got)
		}
	}
}

func TestExamples(t *testing.T) {
	file, err := os.Open("../spectest/testdata/examples.csv")
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	var request []byte
	n := 0
	for _, row := range rows[1:] {
		section, name, direction := row[0], row[2], row[3]
		msg, err := hex.DecodeString(row[5])
		require.NoError(t, err)
		if direction == "s2c" {
			request = msg
			continue
		}
		n++
		c := conversation{name: name, replies: [][]byte{msg, msg}}
		if name == channels.FileRedirectorChannel && row[1] != "CustomEvent" {
			c.sent, c.replies = [][]byte{request}, c.replies[:1]
		}
		t.Run(section, func(t *testing.T) {
			c.checkCuts(t)
			c.checkEnds(t)
		})
	}
	assert.Equal(t, 9, n, "examples from the client")
}

func randomBytes(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randomInfo makes what a client sends on PNPDR.
func randomInfo(r *rand.Rand, n int) *conversation {
	c := &conversation{name: channels.PNPDR, replies: [][]byte{wire.OurVersion.Append(nil)}}
	for id := range uint32(n) {
		if r.IntN(3) == 0 {
			c.replies = append(c.replies, wire.DeviceRemoval{ClientDeviceID: r.Uint32()}.Append(nil))
			continue
		}
		m := wire.DeviceAddition{DeviceCount: uint32(r.IntN(4))}
		for range m.DeviceCount {
			d := wire.NewDeviceDescription(id, &pnp.Description{Name: string(bytes.Repeat([]byte("n"), r.IntN(40)))})
			m.DeviceDescriptions = d.Append(m.DeviceDescriptions)
		}
		c.replies = append(c.replies, m.Append(nil))
	}
	return c
}

// randomIO makes requests and their replies, out of order and with events between
// them.
func randomIO(r *rand.Rand, n, most int) *conversation {
	c := &conversation{name: channels.FileRedirectorChannel}
	for i := range n {
		id := wire.RequestID(i*0x01_01_01 + 1)
		var request, reply wire.Body
		result := pnp.HRESULT(r.Uint32())
		switch r.IntN(7) {
		case 0:
			request, reply = wire.CapabilitiesRequest{RequestID: id}, wire.CapabilitiesReply{RequestID: id, Version: 6}
		case 1:
			request, reply = wire.CreateFileRequest{RequestID: id}, wire.CreateFileReply{RequestID: id, Result: result}
		case 2:
			data := randomBytes(r, most)
			request = wire.ReadRequest{RequestID: id, CbBytesToRead: uint32(len(data) + r.IntN(3))}
			reply = wire.DataReply{RequestID: id, Result: result, Data: data}
		case 3:
			request = wire.WriteRequest{RequestID: id, Data: randomBytes(r, most)}
			reply = wire.WriteReply{RequestID: id, Result: result, CbBytesWritten: r.Uint32()}
		case 4:
			data := randomBytes(r, most)
			request = wire.IOControlRequest{RequestID: id, CbOut: uint32(len(data)), DataIn: randomBytes(r, most)}
			reply = wire.DataReply{RequestID: id, Result: result, Data: data}
		case 5:
			reply = wire.CustomEvent{CustomEventGUID: pnp.GUID(bytes.Repeat([]byte{byte(i)}, 16)), Data: randomBytes(r, most)}
		case 6:
			request = wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: id}
		}
		if request != nil {
			c.sent = append(c.sent, request.Append(nil))
		}
		if reply != nil {
			c.replies = append(c.replies, reply.Append(nil))
		}
	}
	r.Shuffle(len(c.replies), func(i, j int) { c.replies[i], c.replies[j] = c.replies[j], c.replies[i] })
	return c
}

func TestRandomSessions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		randomInfo(r, 10).checkCuts(t)
		c := randomIO(r, 45, 40)
		c.checkCuts(t)
		c.checkEnds(t)
	}
}

// randomReader reads a random number of bytes at a time.
type randomReader struct {
	r    *rand.Rand
	from io.Reader
}

func (r randomReader) Read(p []byte) (int, error) {
	return r.from.Read(p[:min(len(p), r.r.IntN(1<<uint(r.r.IntN(18))))])
}

// TestLongSessions has messages that are longer than the buffer.
func TestLongSessions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		c := randomIO(r, 200, 100_000)
		require.NoError(t, c.check(randomReader{r, bytes.NewReader(c.stream())}))
	}
}

// TestReuse: an id may be used again once its reply was returned, and not before.
func TestReuse(t *testing.T) {
	reader, writer := io.Pipe()
	f := framer.New(channels.FileRedirectorChannel, reader)
	for i := range 3 {
		request := wire.ReadRequest{RequestID: 7, CbBytesToRead: uint32(i)}.Append(nil)
		require.NoError(t, f.Sent(request))
		require.Error(t, f.Sent(request))
		reply := wire.DataReply{RequestID: 7, Data: make([]byte, i)}.Append(nil)
		go func() { _, _ = writer.Write(reply) }()
		got, err := f.Next()
		require.NoError(t, err)
		assert.Equal(t, reply, got)
	}
}

func TestNonsense(t *testing.T) {
	le := binary.LittleEndian
	info := func(size, id uint32) []byte {
		return append(le.AppendUint32(le.AppendUint32(nil, size), id), make([]byte, 40)...)
	}
	read := wire.ReadRequest{RequestID: 7, CbBytesToRead: 8}.Append(nil)
	data := func(n uint32) []byte { return le.AppendUint32([]byte{7, 0, 0, 0, 0, 0, 0, 0}, n) }
	event := func(n uint32) []byte { return le.AppendUint32(append([]byte{0, 0, 0, 1}, make([]byte, 16)...), n) }
	for name, test := range map[string]struct {
		channel string
		sent    []byte
		stream  []byte
	}{
		"PacketId":            {channels.PNPDR, nil, info(20, 0x99)},
		"direction":           {channels.PNPDR, nil, info(8, 0x67)},
		"Size 0":              {channels.PNPDR, nil, info(0, 0x66)},
		"Size below the rest": {channels.PNPDR, nil, info(11, 0x66)},
		"Size of a Version":   {channels.PNPDR, nil, info(21, 0x65)},
		"Size of 4 GiB":       {channels.PNPDR, nil, info(1<<32-1, 0x66)},
		"Size":                {channels.PNPDR, nil, info(framer.MaxInfo+1, 0x66)},
		"PacketType":          {channels.FileRedirectorChannel, nil, []byte{0, 0, 0, 2}},
		"reply to nothing":    {channels.FileRedirectorChannel, nil, []byte{7, 0, 0, 0}},
		"reply to another":    {channels.FileRedirectorChannel, read, []byte{8, 0, 0, 0}},
		"more than asked for": {channels.FileRedirectorChannel, read, data(9)},
		"reply of 4 GiB":      {channels.FileRedirectorChannel, read, data(1<<32 - 1)},
		"event":               {channels.FileRedirectorChannel, nil, event(framer.MaxEvent + 1)},
		"event of 4 GiB":      {channels.FileRedirectorChannel, nil, event(1<<32 - 1)},
	} {
		t.Run(name, func(t *testing.T) {
			f := framer.New(test.channel, bytes.NewReader(test.stream))
			if test.sent != nil {
				require.NoError(t, f.Sent(test.sent))
			}
			_, err := f.Next()
			require.Error(t, err)
			assert.False(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
			_, again := f.Next()
			assert.Equal(t, err, again)
		})
	}
}

// TestLongest: the limits are not one byte too low.
func TestLongest(t *testing.T) {
	size := framer.MaxInfo
	info := append(binary.LittleEndian.AppendUint32(nil, uint32(size)), 0x66)
	c := conversation{name: channels.PNPDR, replies: [][]byte{append(info, make([]byte, size-len(info))...)}}
	require.NoError(t, c.check(bytes.NewReader(c.stream())))
	c = conversation{name: channels.FileRedirectorChannel, replies: [][]byte{
		wire.CustomEvent{Data: make([]byte, framer.MaxEvent)}.Append(nil),
	}}
	require.NoError(t, c.check(bytes.NewReader(c.stream())))
}

// TestAnnouncedIsNotAllocated: memory follows what has arrived.
func TestAnnouncedIsNotAllocated(t *testing.T) {
	const asked = 1 << 30
	request := wire.ReadRequest{RequestID: 7, CbBytesToRead: asked}.Append(nil)
	stream := binary.LittleEndian.AppendUint32([]byte{7, 0, 0, 0, 0, 0, 0, 0}, asked)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := framer.New(channels.FileRedirectorChannel, bytes.NewReader(stream))
	require.NoError(t, f.Sent(request))
	_, err := f.Next()
	runtime.ReadMemStats(&after)
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// countingReader writes down what is missing whenever the framer reads.
type countingReader struct {
	f       *framer.Framer
	pieces  [][]byte
	missing []uint64
}

func (r *countingReader) Read(p []byte) (int, error) {
	r.missing = append(r.missing, r.f.Missing())
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	return n, nil
}

func TestMissing(t *testing.T) {
	reply := wire.DataReply{RequestID: 7, Data: make([]byte, 1000)}.Append(nil)
	next := wire.DataReply{RequestID: 8, Data: make([]byte, 20)}.Append(nil)
	all := append(reply, next...)
	size := uint64(len(reply))
	r := &countingReader{pieces: [][]byte{all[:5], all[5:12], all[12:112], all[112:size], all[size : size+12], all[size+12:]}}
	r.f = framer.New(channels.FileRedirectorChannel, r)
	for id, n := range map[wire.RequestID]uint32{7: 1000, 8: 20} {
		require.NoError(t, r.f.Sent(wire.ReadRequest{RequestID: id, CbBytesToRead: n}.Append(nil)))
	}
	for range 2 {
		_, err := r.f.Next()
		require.NoError(t, err)
	}
	_, err := r.f.Next()
	require.ErrorIs(t, err, io.EOF)
	// Nothing is known of a message before its count.
	assert.Equal(t, []uint64{0, 0, size - 12, size - 112, 0, 21, 0}, r.missing)
}

func TestReaderThatReadsNothing(t *testing.T) {
	_, err := framer.New(channels.PNPDR, iotest.ErrReader(nil)).Next()
	assert.ErrorIs(t, err, io.ErrNoProgress)
	broken := errors.New("broken")
	_, err = framer.New(channels.PNPDR, iotest.ErrReader(broken)).Next()
	assert.ErrorIs(t, err, broken)
}

func TestMalformedRequestIsNotSent(t *testing.T) {
	f := framer.New(channels.FileRedirectorChannel, bytes.NewReader(nil))
	assert.Error(t, f.Sent([]byte{1, 2, 3}))
}

// FuzzFramer: whatever comes is cut into messages whose bytes are those of the
// stream, and how the stream is cut makes no difference.
func FuzzFramer(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3 {
		f.Add(false, randomInfo(r, 5).stream())
		f.Add(true, randomIO(r, 20, 30).stream())
	}
	f.Fuzz(func(t *testing.T, io bool, stream []byte) {
		name := channels.PNPDR
		if io {
			name = channels.FileRedirectorChannel
		}
		whole, err := frames(t, name, bytes.NewReader(stream))
		bytewise, errBytewise := frames(t, name, iotest.OneByteReader(bytes.NewReader(stream)))
		if !assert.Equal(t, whole, bytewise) || !assert.Equal(t, err.Error(), errBytewise.Error()) {
			return
		}
		assert.True(t, bytes.HasPrefix(stream, bytes.Join(whole, nil)))
	})
}

// frames reads the messages of a stream that answers one request of each kind.
func frames(t *testing.T, name string, r io.Reader) (messages [][]byte, err error) {
	f := framer.New(name, r)
	for _, m := range []wire.Body{
		wire.CapabilitiesRequest{RequestID: 0x01_01_01*0 + 1},
		wire.CreateFileRequest{RequestID: 0x01_01_01*1 + 1},
		wire.ReadRequest{RequestID: 0x01_01_01*2 + 1, CbBytesToRead: 100},
		wire.WriteRequest{RequestID: 0x01_01_01*3 + 1},
		wire.IOControlRequest{RequestID: 0x01_01_01*4 + 1, CbOut: 100},
		wire.IoCancelRequest{RequestID: wire.CancelID},
	} {
		require.NoError(t, f.Sent(m.Append(nil)))
	}
	for {
		msg, err := f.Next()
		if err != nil {
			return messages, err
		}
		messages = append(messages, bytes.Clone(msg))
	}
}
