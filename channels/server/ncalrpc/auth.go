// SPDX-License-Identifier: Apache-2.0

package ncalrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync/atomic"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
)

// Samba's programs begin each ncalrpc connection with an authentication that proves
// nothing: the socket's permissions decide who may connect (gensec's ncalrpc_as_system).
// It belongs to the transport, so it ends here, and the service sees none. Security
// trailers are those of [MS-RPCE] 2.2.2.11.
const (
	authType  = 200
	authLevel = 2 // RPC_C_AUTHN_LEVEL_CONNECT: nothing is signed
	authToken = "NCALRPC_AUTH_TOKEN"
	authOK    = "NCALRPC_AUTH_OK"

	ptypeBind, ptypeBindAck = 11, 12
	headerSize, trailerSize = 16, 8
)

// asSystem is a handle of the service for such a program.
type asSystem struct {
	pipebridge.Handle
	// trailer is what the answer to a bind has to end with; nil if nothing.
	trailer atomic.Pointer[[]byte]
}

// WriteAt implements pipebridge.Handle. It leaves the authentication out of a bind.
func (h *asSystem) WriteAt(ctx context.Context, p []byte, off uint64) (int, error) {
	bind := h.taken(p)
	n, err := h.Handle.WriteAt(ctx, bind, off)
	if err == nil && n == len(bind) {
		n = len(p)
	}
	return n, err
}

// Start implements pipebridge.Handle. It does the same for what is transceived, and adds
// the authentication to the answer.
func (h *asSystem) Start(r server.Request) (cancel func(), err error) {
	done := r.Done
	r.In = h.taken(r.In)
	r.Done = func(n int, err error) {
		if err == nil {
			n = h.answer(r.Out, n)
		}
		done(n, err)
	}
	return h.Handle.Start(r)
}

// taken returns p, or a bind without the authentication, which is then expected by whoever
// gets the answer.
func (h *asSystem) taken(p []byte) []byte {
	bind, trailer := withoutAuth(p)
	if bind == nil {
		return p
	}
	h.trailer.Store(&trailer)
	return bind
}

// answer completes the answer to a bind, which has n bytes of p, and returns its length.
func (h *asSystem) answer(p []byte, n int) int {
	if n < headerSize || p[2] != ptypeBindAck {
		return n
	}
	trailer := h.trailer.Swap(nil)
	// The length of such an answer is a multiple of 4, as the place of a trailer is.
	if trailer == nil || int(binary.LittleEndian.Uint16(p[8:])) != n || n%4 != 0 || n+len(*trailer) > len(p) {
		return n
	}
	end := append(p[:n], *trailer...)
	binary.LittleEndian.PutUint16(end[8:], uint16(len(end)))
	binary.LittleEndian.PutUint16(end[10:], uint16(len(*trailer)-trailerSize))
	return len(end)
}

// withoutAuth returns a bind without its authentication, and the trailer of the answer;
// nil if p is anything else.
func withoutAuth(p []byte) (bind, trailer []byte) {
	if len(p) < headerSize || p[0] != 5 || p[2] != ptypeBind || p[4]>>4 != 1 {
		return nil, nil
	}
	length, auth := int(binary.LittleEndian.Uint16(p[8:])), int(binary.LittleEndian.Uint16(p[10:]))
	at := length - auth - trailerSize
	if length != len(p) || auth != len(authToken) || at < headerSize {
		return nil, nil
	}
	pad := int(p[at+2])
	if p[at] != authType || p[at+1] != authLevel || string(p[at+trailerSize:]) != authToken || at-pad < headerSize {
		return nil, nil
	}
	trailer = append(bytes.Clone(p[at:at+trailerSize]), authOK...)
	trailer[2] = 0 // nothing is padded
	bind = bytes.Clone(p[:at-pad])
	binary.LittleEndian.PutUint16(bind[8:], uint16(len(bind)))
	binary.LittleEndian.PutUint16(bind[10:], 0)
	return bind, trailer
}
