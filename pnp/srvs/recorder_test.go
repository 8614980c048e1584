// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// A recordedCall is one that a program made.
type recordedCall struct {
	Opnum             int
	Level             string // or flags, or a name type; "" if the method has none
	Code              uint32
	Request, Response []byte
}

// A recorder is a Server on TCP that keeps the calls it gets.
type recorder struct {
	*Server
	source *fakeSource
	mu     sync.Mutex
	calls  []recordedCall
}

// newRecorder returns a recorder of newTestServer's Server.
func newRecorder(t testing.TB) *recorder {
	s, source := newTestServer(t, nil)
	r := &recorder{Server: s, source: source}
	operations := s.operations()
	for opnum, operation := range operations {
		if operation != nil {
			operations[opnum] = func(call *dcerpc.Call) ([]byte, error) {
				stub, err := operation(call)
				r.add(opnum, call.Stub, stub, err)
				return stub, err
			}
		}
	}
	r.rpc = dcerpc.NewServer(&dcerpc.Interface{Syntax: Syntax, Endpoint: `\PIPE\srvsvc`, Operations: operations}, s.config.Log)
	return r
}

func (r *recorder) add(opnum int, request, response []byte, err error) {
	if err != nil {
		return
	}
	call := recordedCall{opnum, "", binary.LittleEndian.Uint32(response[len(response)-4:]), append([]byte{}, request...), response}
	if m := methods[opnum]; m.new != nil {
		p := m.new()
		p.in(ndr.NewDecoder(request, binary.LittleEndian))
		call.Level = levelOf(opnum, p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

// taken returns the calls since the last time.
func (r *recorder) taken() []recordedCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// levelOf returns what distinguishes calls of a method: its level, its flags or the
// type of a name.
func levelOf(opnum int, p params) string {
	v := reflect.ValueOf(p).Elem()
	field := func(v reflect.Value, name string) (string, bool) {
		f := v.FieldByName(name)
		if !f.IsValid() || f.Kind() != reflect.Uint32 {
			return "", false
		}
		if u := f.Uint(); u >= 0x80000000 {
			return fmt.Sprintf("%#x", u), true
		} else {
			return fmt.Sprint(u), true
		}
	}
	switch opnum {
	case 30, 31, 32:
		level, _ := field(v, "flags")
		return level
	case 33, 34, 35:
		level, _ := field(v, "kind")
		return level
	}
	if level, ok := field(v, "level"); ok {
		return level
	}
	if info := v.FieldByName("info"); info.IsValid() && info.Kind() == reflect.Struct {
		level, _ := field(info, "level")
		return level
	}
	return ""
}

// listen serves a listener until the test ends.
func (r *recorder) listen(t testing.TB, l net.Listener, serve func(context.Context, net.Conn) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	conns.Add(1)
	go func() {
		defer conns.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer conns.Done()
				serve(ctx, conn)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		cancel()
		conns.Wait()
	})
}

// serve serves a connection as the handle asker.
func (r *recorder) serve(ctx context.Context, conn net.Conn) error { return r.Serve(ctx, conn, asker) }

// listenTCP serves the service on the loopback and returns the port.
func (r *recorder) listenTCP(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.listen(t, l, r.serve)
	return l.Addr().(*net.TCPAddr).Port
}
