// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// TestReadWhileTruncated: what was read ahead while the client made a file empty is nothing
// that a program may see later.
func TestReadWhileTruncated(t *testing.T) {
	const size, part = 12 << 20, 128 << 10 // longer than what is read ahead
	var mu sync.Mutex
	content := bytes.Repeat([]byte("x"), size)
	s := newServed(t, randomKind, func(m wire.Message) any {
		mu.Lock()
		defer mu.Unlock()
		switch r := m.Body().(type) {
		case wire.IOControlRequest:
			return wire.DataReply{RequestID: r.RequestID, Data: binary.LittleEndian.AppendUint64(nil, uint64(len(content)))}
		case wire.ReadRequest:
			at := min(r.Offset, uint64(len(content)))
			return wire.DataReply{RequestID: r.RequestID, Data: content[at:min(at+uint64(r.CbBytesToRead), uint64(len(content)))]}
		case wire.WriteRequest:
			if end := int(r.Offset) + len(r.Data); end > len(content) {
				content = append(content, make([]byte, end-len(content))...)
			}
			copy(content[r.Offset:], r.Data)
			return wire.WriteReply{RequestID: r.RequestID, CbBytesWritten: uint32(len(r.Data))}
		}
		return nil
	})
	truncating, truncate := make(chan struct{}), make(chan struct{})
	attached := s.Client.Attached
	s.Client.Attached = func(ch *servertest.Channel) {
		attached(ch)
		answer := ch.OnSend
		ch.OnSend = func(msg []byte) {
			if m, _ := wire.Decode(msg, wire.IOToClient); m.Kind == wire.KindCreateFileRequest &&
				m.CreateFileRequest().DwCreationDisposition == pnp.TRUNCATE_EXISTING {
				truncating <- struct{}{}
				<-truncate
				mu.Lock()
				content = nil
				mu.Unlock()
			}
			answer(msg)
		}
	}
	perl := exec.Command("perl", "-e", `
		$| = 1;
		sysopen(F, $ARGV[0], 0) or die "open: $!";
		while (<STDIN>) { $n = sysread(F, $b, $ARGV[1]); print "$n ", ($b =~ tr/x//), "\n" }`, s.data, fmt.Sprint(part))
	lines, err := perl.StdinPipe()
	require.NoError(t, err)
	out, err := perl.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, perl.Start())
	t.Cleanup(func() { _ = perl.Process.Kill() })
	answers := bufio.NewReader(out)
	read := func() string {
		_, err := io.WriteString(lines, "\n")
		require.NoError(t, err)
		answer, err := answers.ReadString('\n')
		require.NoError(t, err)
		return answer
	}
	whole := fmt.Sprintf("%d %d\n", part, part)
	for range 8 {
		require.Equal(t, whole, read())
	}
	empty := start(t, "truncate", "-s", "0", s.data)
	<-truncating
	for range 8 { // more than the kernel has
		assert.Equal(t, whole, read())
	}
	close(truncate)
	assert.Equal(t, "", empty.wait())
	run(t, "truncate", "-s", fmt.Sprint(size), s.data)
	for range size/part - 16 {
		require.Equal(t, fmt.Sprintf("%d 0\n", part), read())
	}
	require.NoError(t, lines.Close())
	require.NoError(t, perl.Wait())
}
