// SPDX-License-Identifier: Apache-2.0

package dcerpc

import "bytes"

// featurePrefix begins the transfer syntax that stands for bind time feature
// negotiation; the features follow ([MS-RPCE] 2.2.2.14).
var featurePrefix = []byte{0x2c, 0x1c, 0xb7, 0x6c, 0x12, 0x98, 0x40, 0x45}

// keepOnOrphan is the one feature that is supported: the connection lives on
// after an orphaned PDU.
const keepOnOrphan = 2

func isFeatures(s Syntax) bool {
	return bytes.HasPrefix(s.UUID[:], featurePrefix) && s.Major == 1 && s.Minor == 0
}

// bind answers a bind PDU (C706 12.6.4.3, [MS-RPCE] 3.3.1.5.6).
func (c *Conn) bind(h *header, body []byte) error {
	nak := func(reason uint16, format string, args ...any) error {
		return c.end(bindNak(h.callID, reason), format, args...)
	}
	if c.bound {
		return nak(nakUnspecified, "a second bind")
	}
	if h.authLength > 0 {
		return nak(nakAuthentication, "a bind with authentication")
	}
	b, ok := parseBind(body, h.order())
	switch {
	case !ok:
		return nak(nakUnspecified, "a list of contexts that is cut or lacks a transfer syntax")
	case len(b.contexts) == 0:
		return nak(nakVersion, "a bind without contexts")
	}
	features := 0
	for _, p := range b.contexts {
		if isFeatures(p.transfer[0]) {
			features++
		}
	}
	if features > 1 {
		return nak(nakUnspecified, "%d negotiations of features", features)
	}
	c.contexts = make(map[uint16]Syntax)
	results, _ := c.negotiate(b.contexts, true)
	if len(c.contexts) > c.maxContexts {
		return nak(nakLocalLimit, "more than %d contexts", c.maxContexts)
	}
	if c.group = c.joinGroup(b.group); c.group == 0 {
		return nak(nakUnspecified, "no association group %#x", b.group)
	}
	c.bound = true
	c.frag = min(max(min(b.maxXmit, b.maxRecv), minFrag), maxFrag) &^ 7
	c.multiplex = h.flags&flagConcMpx != 0
	c.headerSign = h.flags&flagHeaderSign != 0
	return c.write(bindAck(ptypeBindAck, h.flags&flagConcMpx, h.callID, c.frag, c.group, c.iface.Endpoint, results))
}

// alterContext answers an alter_context PDU, which adds contexts.
func (c *Conn) alterContext(h *header, body []byte) error {
	if h.authLength > 0 {
		return c.end(fault(0, h.callID, 0, StatusAccessDenied), "an alter_context with authentication")
	}
	refuse := func(format string, args ...any) error {
		return c.end(fault(flagDidNotExecute, h.callID, 0, StatusProtocolError), format, args...)
	}
	b, ok := parseBind(body, h.order())
	if !ok || len(b.contexts) == 0 {
		return refuse("a list of contexts that is empty or cut or lacks a transfer syntax")
	}
	results, ok := c.negotiate(b.contexts, false)
	switch {
	case !ok:
		return refuse("another interface for a context")
	case len(c.contexts) > c.maxContexts:
		return refuse("more than %d contexts", c.maxContexts)
	}
	return c.write(bindAck(ptypeAlterContextResp, 0, h.callID, c.frag, c.group, "", results))
}

// negotiate adds the contexts that can be served and returns a result for each. It
// returns false if one is in use with other syntaxes.
func (c *Conn) negotiate(contexts []proposal, inBind bool) ([]result, bool) {
	taken := false // [MS-RPCE] 3.3.1.5.6: one transfer syntax per abstract syntax in a PDU
	results := make([]result, len(contexts))
	for i, p := range contexts {
		r := c.judge(p, inBind)
		_, used := c.contexts[p.id]
		switch {
		case r.result != resultAcceptance:
			if used && !inBind {
				return nil, false
			}
		case taken:
			r = result{resultProviderRejection, reasonTransferSyntaxes, Syntax{}}
		default:
			taken = true
			c.contexts[p.id] = p.abstract
		}
		results[i] = r
	}
	return results, true
}

// judge answers one proposal by itself.
func (c *Conn) judge(p proposal, inBind bool) result {
	if inBind && isFeatures(p.transfer[0]) {
		return result{resultNegotiateAck, uint16(p.transfer[0].UUID[8]) & keepOnOrphan, Syntax{}}
	}
	if p.abstract != c.iface.Syntax {
		return result{resultProviderRejection, reasonAbstractSyntax, Syntax{}}
	}
	for _, t := range p.transfer {
		if t == NDR {
			return result{resultAcceptance, 0, NDR}
		}
	}
	return result{resultProviderRejection, reasonTransferSyntaxes, Syntax{}}
}
