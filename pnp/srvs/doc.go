// SPDX-License-Identifier: Apache-2.0

// Package srvs is a server of the Server Service Remote Protocol, [MS-SRVS]. It
// tells an administration program what one session redirects and who has it open,
// and ends open handles. It changes nothing else.
//
// It is without RDP: its data comes from a Source, and its connections are any
// stream of bytes:
//
//	server := srvs.New(config, source)
//	err := server.Serve(ctx, conn, id)
//
// Serve reads requests from conn and writes answers until conn ends, the peer
// breaks the protocol, or ctx is done; it closes conn. A Read may return any part
// of the stream. Each Write is one whole fragment, that is one message of a named
// pipe, of at most 4280 bytes, and may block for as long as the peer does not
// read: no further request is taken meanwhile. What was written can still be read
// by the peer after Serve has closed conn. id is the number that the Source gives
// the handle of this connection among its files, or 0: its peer cannot close it.
package srvs
