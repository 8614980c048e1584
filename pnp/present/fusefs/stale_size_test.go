// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"encoding/binary"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/wire"
)

// TestSizeThatIsTooOld: what the client says of the size does not count if something was
// written meanwhile. Otherwise a program that appends would write over what it has written.
func TestSizeThatIsTooOld(t *testing.T) {
	var mu sync.Mutex
	content := make([]byte, 100)
	var hold atomic.Bool
	asked, answer := make(chan struct{}), make(chan struct{})
	written := make(chan uint64, 1)
	s := newServed(t, randomKind, func(m wire.Message) any {
		mu.Lock()
		defer mu.Unlock()
		switch r := m.Body().(type) {
		case wire.IOControlRequest:
			size := binary.LittleEndian.AppendUint64(nil, uint64(len(content)))
			if hold.Swap(false) {
				mu.Unlock()
				asked <- struct{}{}
				<-answer
				mu.Lock()
			}
			return wire.DataReply{RequestID: r.RequestID, Data: size}
		case wire.WriteRequest:
			if len(r.Data) == 0 { // whether the file may be written to
				return wire.WriteReply{RequestID: r.RequestID}
			}
			if end := int(r.Offset) + len(r.Data); end > len(content) {
				content = append(content, make([]byte, end-len(content))...)
			}
			copy(content[r.Offset:], r.Data)
			written <- r.Offset
			return wire.WriteReply{RequestID: r.RequestID, CbBytesWritten: uint32(len(r.Data))}
		}
		return nil
	})
	perl := exec.Command("perl", "-e", `
		sysopen(F, $ARGV[0], 01 | 02000) or die "open: $!";
		syswrite(F, "0123456789") == 10 or die "write: $!" while <STDIN>`, s.data)
	lines, err := perl.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, perl.Start())
	t.Cleanup(func() { _ = perl.Process.Kill() })
	write := func() uint64 {
		_, err := io.WriteString(lines, "\n")
		require.NoError(t, err)
		return <-written
	}
	assert.Equal(t, uint64(100), write())
	time.Sleep(sizeValid) // now it has to be asked for again

	hold.Store(true)
	stat := start(t, "stat", "-Lc", "%s", s.data)
	<-asked
	assert.Equal(t, uint64(110), write())
	close(answer)
	stat.wait()
	assert.Equal(t, "120\n", run(t, "stat", "-Lc", "%s", s.data))
	assert.Equal(t, uint64(120), write())
	require.NoError(t, lines.Close())
	require.NoError(t, perl.Wait())
}
