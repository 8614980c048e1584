// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// PipeName is the name of the service's pipe.
const PipeName = "srvsvc"

// Syntax is the interface of the Server Service.
var Syntax = dcerpc.Syntax{UUID: pnp.MustGUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), Major: 3}

// maxAnswer bounds the stub of an answer, in bytes.
const maxAnswer = 16 << 20

// Config is what a Server tells of the machine that it runs on.
type Config struct {
	Host    string // host name
	Domain  string // domain or work group; WORKGROUP if empty
	Comment string // shown beside the host name; may be empty

	// Major and Minor are the version of the operating system; those of the kernel
	// if both are 0.
	Major, Minor uint32

	// ReadOnly denies what would end a handle.
	ReadOnly bool

	Log *slog.Logger     // slog.Default() if nil
	Now func() time.Time // time.Now if nil
}

// A Server is the Server Service of one session. It may serve any number of
// connections at once.
type Server struct {
	config  Config
	source  Source
	rpc     *dcerpc.Server
	started time.Time
	denied  atomic.Uint32 // calls that got ERROR_ACCESS_DENIED

	maxAnswer int
}

// New returns a Server that tells of source.
func New(config Config, source Source) *Server {
	if config.Domain == "" {
		config.Domain = "WORKGROUP"
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Major == 0 && config.Minor == 0 {
		config.Major, config.Minor = kernelVersion()
	}
	s := &Server{config: config, source: source, started: config.Now(), maxAnswer: maxAnswer}
	s.rpc = dcerpc.NewServer(&dcerpc.Interface{
		Syntax:     Syntax,
		Endpoint:   `\PIPE\` + PipeName,
		Operations: s.operations(),
		Blocks:     blocks,
	}, config.Log)
	return s
}

// Serve answers the calls that come by conn, as the package says. It closes conn.
// It returns nil if the peer ended the stream or ctx is done, and an error with
// dcerpc.ErrProtocol if it hung up on the peer.
func (s *Server) Serve(ctx context.Context, conn io.ReadWriteCloser, id uint32) error {
	return s.rpc.Serve(ctx, conn, id)
}

// Connect begins a connection that answers when it is asked to, for the handle with that
// number. It tells which calls may block: those that end handles or ask a file system.
func (s *Server) Connect(id uint32) *dcerpc.Conn { return s.rpc.Connect(id) }

// kernelVersion returns the first two numbers of the kernel's release.
func kernelVersion() (major, minor uint32) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0, 0
	}
	return parseVersion(unix.ByteSliceToString(u.Release[:]))
}

// parseVersion returns the numbers that a release such as 6.1.0-44-amd64 begins with.
func parseVersion(release string) (major, minor uint32) {
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major, minor
}

// operations makes the methods callable.
func (s *Server) operations() []dcerpc.Operation {
	list := make([]dcerpc.Operation, len(methods))
	for opnum, m := range methods {
		switch {
		case m.new != nil:
			list[opnum] = func(call *dcerpc.Call) ([]byte, error) { return s.call(m, call) }
		case opnum <= lastReserved:
			list[opnum] = func(*dcerpc.Call) ([]byte, error) { return encodeAnswer(nil, errorNotSupported) }
		}
	}
	return list
}

// call answers one call of a method.
func (s *Server) call(m method, call *dcerpc.Call) ([]byte, error) {
	p := m.new()
	c := ndr.NewDecoder(call.Stub, call.Order)
	p.in(c)
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := call.Verify(c.Pos()); err != nil {
		return nil, err
	}
	r := &request{Server: s, caller: call.Caller.(uint32), now: s.config.Now()}
	code := p.answer(r)
	if r.fault != nil {
		return nil, r.fault
	}
	if code == errorAccessDenied {
		s.denied.Add(1)
	}
	stub, err := encodeAnswer(p, code)
	if err == nil && len(stub) > s.maxAnswer {
		p := m.new()
		p.in(ndr.NewDecoder(call.Stub, call.Order))
		if enum, ok := p.(interface{ drop() }); ok {
			enum.drop()
		}
		return encodeAnswer(p, errorNotEnoughMemory)
	}
	return stub, err
}

// encodeAnswer returns a stub of the parameters that go back, if any, and code.
func encodeAnswer(p params, code uint32) ([]byte, error) {
	c := ndr.NewEncoder()
	if p != nil {
		p.out(c)
	}
	c.Uint32(&code)
	return c.Stub(), c.Err()
}

// params are the parameters of one method.
type params interface {
	in(c *ndr.Coder)          // codes those of the request
	answer(r *request) uint32 // does what the method does and returns its value
	out(c *ndr.Coder)         // codes those of the response but for the value
}

// A request is one call as its method sees it.
type request struct {
	*Server
	caller uint32 // number of the handle that it came by, among the Source's files
	now    time.Time
	fault  error // set by a method that is answered by a fault

	snap *Snapshot
}

// snapshot returns the state that the whole answer tells of.
func (r *request) snapshot() *Snapshot {
	if r.snap == nil {
		s := r.source.Snapshot()
		r.snap = &s
	}
	return r.snap
}

// seconds returns how long ago t was.
func (r *request) seconds(t time.Time) uint32 {
	return uint32(max(0, r.now.Sub(t)/time.Second))
}

// codeTail codes what follows a union in a request. The union's arm may be there
// although its level is not known: what follows is then where it ends with the
// stub, if the arm is nothing, a null pointer or one of more. If nothing fits, what
// follows is as it was, that is null.
func codeTail(c *ndr.Coder, known bool, more []func(), tail func()) {
	if known || !c.Decoding() {
		tail()
		return
	}
	null := func() {
		var id uint32
		if c.Uint32(&id); id != 0 {
			c.Fail("no null pointer")
		}
	}
	for _, arm := range append([]func(){null, func() {}}, more...) {
		if c.Attempt(func() bool {
			arm()
			tail()
			return c.AtEnd(dcerpc.TrailerSignature)
		}) {
			return
		}
	}
	// Nothing is decoded behind an error, so that tail takes back what it set.
	c.Attempt(func() bool {
		c.Fail("a union of a level that is not known")
		tail()
		return false
	})
}
