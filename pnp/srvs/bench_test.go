// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchVar is the address of another implementation that serves \PIPE\srvsvc to
// anybody, such as 127.0.0.1:49152 or the path of a Unix socket. The benchmarks time
// that instead.
const benchVar = "PNPDR_SRVS_BENCH"

// benchClient returns a client that has bound, over TCP on the loopback.
func benchClient(b *testing.B, shares int) *client {
	address := os.Getenv(benchVar)
	if address == "" {
		s, _ := newTestServer(b, func(_ *Config, s *fakeSource) {
			s.state.Shares = nil
			for i := range shares - 1 { // and IPC$
				s.state.Shares = append(s.state.Shares, Share{ID: uint32(i + 1), Name: fmt.Sprintf("share%d", i), Type: TypeDisk,
					Remark: "a share of the benchmark"})
			}
		})
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		done := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				err = s.Serve(context.Background(), conn, 0)
			}
			done <- err
		}()
		b.Cleanup(func() {
			l.Close()
			<-done
		})
		address = l.Addr().String()
	}
	network := "tcp"
	if address[0] == '/' {
		network = "unix"
	}
	conn, err := net.Dial(network, address)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	c := &client{t: b, conn: conn, calls: 1}
	c.send(makePDU(pduBind, both, 1, bindBody(4280, 0, plain)))
	require.EqualValues(b, pduBindAck, c.recv().kind)
	return c
}

// BenchmarkShareEnum1000 lists 1000 shares at level 1 in one call.
func BenchmarkShareEnum1000(b *testing.B) {
	c := benchClient(b, 1000)
	request := encodeIn(b, &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 1, container: &container[shareInfo]{}},
		length: maxPreferredLength, resume: ptr(uint32(0))}})
	b.ResetTimer()
	for i := range b.N {
		stub, fault := c.raw(15, request)
		if fault != 0 {
			b.Fatalf("fault %#x", fault)
		}
		b.SetBytes(int64(len(stub)))
		if i == 0 {
			p := &netrShareEnum{}
			require.Zero(b, decodeOut(b, p, stub))
			require.EqualValues(b, 1000, p.total)
		}
	}
}

// Benchmark1000Calls asks for the level 101 of the server 1000 times, one call after
// another.
func Benchmark1000Calls(b *testing.B) {
	c := benchClient(b, 10)
	request := encodeIn(b, &netrServerGetInfo{level: 101, serverName: str(`\\x`)})
	b.ResetTimer()
	for range b.N {
		for range 1000 {
			if _, fault := c.raw(21, request); fault != 0 {
				b.Fatalf("fault %#x", fault)
			}
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkRoundTrip sends as many bytes as a call does there and back, and nothing
// else: what the loopback and the scheduler cost.
func BenchmarkRoundTrip(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := make([]byte, 4280)
		for {
			n, err := conn.Read(p)
			if err != nil {
				return
			}
			if _, err := conn.Write(p[:n]); err != nil {
				return
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	p := make([]byte, 100)
	b.ResetTimer()
	for range b.N {
		for range 1000 {
			conn.Write(p)
			if _, err := conn.Read(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "calls/s")
	conn.Close()
	<-done
}
