// SPDX-License-Identifier: Apache-2.0

// Package dcerpc is the server side of connection-oriented RPC: C706 chapter 12
// with the extensions of [MS-RPCE]. It serves one interface in NDR 2.0, without
// security providers, over any stream of bytes.
//
// An Interface is a table of operations by their opnum. A Server answers the
// connections to it, each in the goroutine that calls Serve: it takes one request
// at a time, calls the operation and writes the answer before it reads on. A Conn is
// such a connection for those who pass on the bytes themselves.
//
// What a peer can make a connection hold is bounded: one fragment, one request of 4 MiB,
// and 4000 presentation contexts. The requests of all connections of a Server take 16 MiB
// together.
package dcerpc

import (
	"errors"
	"fmt"

	"freerdp-pnpdr/pnp"
)

// A Syntax is an identifier of an interface or of a transfer syntax with its
// version (C706 12.6.3.1, p_syntax_id_t).
type Syntax struct {
	UUID         pnp.GUID
	Major, Minor uint16
}

// NDR is the transfer syntax NDR 2.0.
var NDR = Syntax{UUID: pnp.MustGUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), Major: 2}

// An Interface is what a Server serves.
type Interface struct {
	Syntax
	Endpoint   string      // secondary address that a bind_ack tells, such as \PIPE\srvsvc
	Operations []Operation // by opnum; nil where there is none

	// Blocks tells whether an operation may block; nil if none does. See Conn.
	Blocks func(opnum uint16) bool
}

// An Operation answers a call with the stub of its response. If it returns an
// error the peer gets a fault: a Fault's own status, RPC_X_BAD_STUB_DATA for
// ndr.ErrBadStub, RPC_S_CALL_FAILED for all else.
type Operation func(*Call) ([]byte, error)

// Status codes of fault PDUs (C706 appendix N, [MS-ERREF] 2.2).
const (
	StatusAccessDenied    = 0x00000005 // limits, authentication, verification trailers
	StatusNoCallActive    = 0x000006BD // RPC_S_NO_CALL_ACTIVE
	StatusCallFailed      = 0x000006BE // RPC_S_CALL_FAILED
	StatusBadStubData     = 0x000006F7 // RPC_X_BAD_STUB_DATA
	StatusContextMismatch = 0x1C00001A // nca_s_fault_context_mismatch
	StatusOpRange         = 0x1C010002 // nca_s_op_rng_error
	StatusUnknownIf       = 0x1C010003 // nca_s_unk_if
	StatusProtocolError   = 0x1C01000B // nca_s_proto_error
)

// A Fault is an error that is answered by a fault PDU with this status.
type Fault uint32

func (f Fault) Error() string { return fmt.Sprintf("fault %#08x", uint32(f)) }

// ErrProtocol is in the error of Serve if the peer broke the protocol, which ends
// the connection.
var ErrProtocol = errors.New("protocol error")
