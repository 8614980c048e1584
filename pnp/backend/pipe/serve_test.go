// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// words is a service whose requests are lines. It answers each with the line, and those
// that are several words with a message for each.
type words struct {
	line   string
	block  chan struct{} // if any, a line that begins with "slow" waits for it
	closed *atomic.Int64
	said   *[]string
}

func (w *words) Take(p []byte) (n int, whole bool) {
	for i, c := range p {
		if w.line += string(c); c == '\n' {
			return i + 1, true
		}
	}
	return len(p), false
}

func (w *words) Blocks() bool { return strings.HasPrefix(w.line, "slow") }

func (w *words) Answer(write func([]byte) error) error {
	line := strings.TrimSuffix(w.line, "\n")
	w.line = ""
	if strings.HasPrefix(line, "slow") {
		<-w.block
	}
	if w.said != nil {
		*w.said = append(*w.said, line)
	}
	if line == "panic" {
		panic("answering")
	}
	shared := make([]byte, 100) // which is not kept
	for _, word := range strings.Fields(line) {
		if err := write(shared[:copy(shared, word)]); err != nil {
			return err
		}
	}
	clear(shared)
	if line == "bye" {
		return errors.New("bye")
	}
	return nil
}

func (w *words) Close() {
	if w.closed != nil {
		w.closed.Add(1)
	}
}

func serving(w words) *Device {
	return Serve(pnp.Description{Name: "words"}, nil, func(pnp.OpenRequest) Service { return &w })
}

// TestServe: the service gets what was written as a stream, its writes are messages, and
// both ends can close.
func TestServe(t *testing.T) {
	c := open(t, serving(words{}))
	require.Equal(t, result{pnp.S_OK, 3, "abc"}, c.transceive("abc\nde", 10))
	require.Equal(t, result{pnp.S_OK, 3, "def"}, c.transceive("f\n", 10))
	require.Equal(t, result{pnp.ERROR_MORE_DATA, 2, "lo"}, c.transceive("long short\n", 2))
	require.Equal(t, result{pnp.S_OK, 2, "ng"}, c.read(10))
	require.Equal(t, result{pnp.S_OK, 5, "short"}, c.read(10))
	require.Equal(t, pnp.S_OK, c.write("").hr)
	require.Equal(t, pnp.S_OK, c.write("one\ntwo\nbye\nthree\n").hr)
	for _, word := range []string{"one", "two", "bye"} {
		require.Equal(t, word, c.read(10).out)
	}
	require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(10))
	require.Equal(t, result{hr: pnp.ERROR_NO_DATA}, c.write("x"))
	require.Equal(t, result{hr: pnp.ERROR_BAD_PIPE}, c.transceive("x", 10))

	// A panic closes the pipe.
	c = open(t, serving(words{}))
	require.Equal(t, pnp.S_OK, c.write("panic\n").hr)
	require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(10))
}

// TestServeAtOnce: an answer that does not block completes the request before Submit
// returns.
func TestServeAtOnce(t *testing.T) {
	c := open(t, serving(words{}))
	r := &pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("now\n"), Out: make([]byte, 10)}
	done := c.start(r)
	require.True(t, r.Completed())
	require.Equal(t, "now", (<-done).out)
}

// TestServeBlocks: an answer that blocks keeps nothing but its handle's others waiting.
func TestServeBlocks(t *testing.T) {
	block := make(chan struct{})
	c := open(t, serving(words{block: block}))
	slow := &pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("slow\n"), Out: make([]byte, 10)}
	done := c.start(slow)
	require.False(t, slow.Completed())
	require.Equal(t, pnp.S_OK, c.write("next\n").hr)
	require.Equal(t, result{hr: pnp.ERROR_PIPE_BUSY}, c.transceive("x\n", 10))
	next := c.start(&pnp.Request{Op: pnp.OpRead, Out: make([]byte, 10)})
	block <- struct{}{}
	require.Equal(t, "slow", c.end(done).out)
	require.Equal(t, "next", c.end(next).out)

	// One that is cancelled is answered to whoever reads next.
	cancelled := &pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("slow\n"), Out: make([]byte, 10)}
	done = c.start(cancelled)
	c.h.Cancel(cancelled)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, c.end(done).hr)
	block <- struct{}{}
	require.Equal(t, "slow", c.read(10).out)
}

// TestServeClose: the service is closed once, when it does not answer any more, and what
// was written before is done.
func TestServeClose(t *testing.T) {
	block, closed := make(chan struct{}), new(atomic.Int64)
	var said []string
	h, err := serving(words{block: block, closed: closed, said: &said}).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	c := &client{t, h}
	require.Equal(t, pnp.S_OK, c.write("slow\nfirst\n").hr)
	require.Equal(t, pnp.S_OK, c.write("second\nbye\nthird\n").hr)
	pending := c.start(&pnp.Request{Op: pnp.OpRead, Out: make([]byte, 10)})
	released := make(chan struct{})
	h.Close(func() { close(released) })
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, c.end(pending).hr)
	require.Zero(t, closed.Load())
	block <- struct{}{}
	<-released
	require.EqualValues(t, 1, closed.Load())
	require.Equal(t, []string{"slow", "first", "second", "bye"}, said)
}

// taken are workers without a free slot.
type taken struct{ withdrawn atomic.Int64 }

func (w *taken) Start(func()) (withdraw func() bool) {
	return func() bool { return w.withdrawn.Add(1) == 1 }
}

// TestServeSlots: an answer that blocks takes a slot, and does not wait for one any longer
// when the handle is closed.
func TestServeSlots(t *testing.T) {
	block, closed, workers := make(chan struct{}), new(atomic.Int64), new(taken)
	close(block)
	var said []string
	r := acceptance.ReadWrite
	r.Workers = workers
	h, err := serving(words{block: block, closed: closed, said: &said}).Open(r)
	require.NoError(t, err)
	c := &client{t, h}
	require.Equal(t, pnp.S_OK, c.write("slow\nnext\n").hr)
	require.Empty(t, said)
	h.Close(func() {})
	require.EqualValues(t, 1, workers.withdrawn.Load())
}

// TestServeBounds: what the service does not take waits with the writer, and what nobody
// reads waits with the service, which is asked nothing meanwhile.
func TestServeBounds(t *testing.T) {
	var said []string
	c := open(t, serving(words{said: &said}))
	const lines = 3 * maxMessages
	require.Equal(t, pnp.S_OK, c.write(strings.Repeat("a b\n", lines)).hr)
	require.Equal(t, maxMessages, int(peeked(c.control(FSCTL_PIPE_PEEK, "", peekHead).out).messages))
	require.Len(t, said, maxMessages/2)
	for range maxMessages - 1 {
		require.Equal(t, pnp.S_OK, c.write("c\n").hr)
	}
	waiting := &pnp.Request{Op: pnp.OpWrite, In: []byte("c\n")}
	done := c.start(waiting)
	require.False(t, waiting.Completed())
	for range lines {
		require.Equal(t, "a", c.read(10).out)
		require.Equal(t, "b", c.read(10).out)
	}
	require.Equal(t, pnp.S_OK, c.end(done).hr)
	for range maxMessages {
		require.Equal(t, "c", c.read(10).out)
	}

	// One answer may be more than is kept.
	require.Equal(t, pnp.S_OK, c.write(strings.Repeat("w ", 2*maxMessages)+"\n").hr)
	require.Equal(t, maxMessages, int(peeked(c.control(FSCTL_PIPE_PEEK, "", peekHead).out).messages))
	for range 2 * maxMessages {
		require.Equal(t, "w", c.read(10).out)
	}
}

// TestServeMemory: answers count with the session's memory.
func TestServeMemory(t *testing.T) {
	memory := pnp.NewMemory(leastMemory + 100)
	r := acceptance.ReadWrite
	r.Memory = memory
	h, err := serving(words{}).Open(r)
	require.NoError(t, err)
	c := &client{t, h}
	word := strings.Repeat("x", 99)
	require.Equal(t, pnp.S_OK, c.write(strings.Repeat(word+" ", 60)+"\n").hr)
	require.LessOrEqual(t, int(peeked(c.control(FSCTL_PIPE_PEEK, "", peekHead).out).available), leastMemory+200)
	for range 60 {
		require.Equal(t, word, c.read(1000).out)
	}
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
	require.Zero(t, memory.Taken())
}

// TestServeRace submits, cancels and closes from several goroutines.
func TestServeRace(t *testing.T) {
	for range 50 {
		closed, block := new(atomic.Int64), make(chan struct{})
		close(block)
		h, err := serving(words{closed: closed, block: block}).Open(acceptance.ReadWrite)
		require.NoError(t, err)
		c := &client{t, h}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, line := range []string{"slow a b\n", "x\n", "slow\n"} {
				c.end(c.start(&pnp.Request{Op: pnp.OpWrite, In: []byte(line)}))
			}
		}()
		for range 5 {
			r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 10)}
			done := c.start(r)
			h.Cancel(r)
			c.end(done)
		}
		released := make(chan struct{})
		h.Close(func() { close(released) })
		<-ended
		<-released
		require.EqualValues(t, 1, closed.Load())
	}
}
