// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp/wire"
)

// probe asks the client whether it is still there: with a Capabilities Request,
// which is answered at any time (3.2.5.2.1.1), on a FileRedirectorChannel that never
// opens a device.
type probe struct {
	s       *session
	conn    channels.ServerConn
	replied chan struct{} // has a value after a reply
	closed  chan struct{} // closed with the channel
}

// startProbe asks once, and then goes on asking until the session is over.
func (s *session) startProbe(ctx context.Context) error {
	p := &probe{s: s, replied: make(chan struct{}, 1), closed: make(chan struct{})}
	err := s.Open(ctx, channels.FileRedirectorChannel, func(conn channels.ServerConn) channels.Receiver {
		p.conn = conn
		return p
	})
	if err != nil {
		return err
	}
	if err := p.ask(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.active.Add(1)
	go p.run()
	return nil
}

// suspect has the client asked now.
func (s *session) suspect() {
	select {
	case s.doubt <- struct{}{}:
	default:
	}
}

func (p *probe) run() {
	s := p.s
	defer s.active.Done()
	timer := time.NewTimer(s.cfg.ProbeInterval)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-p.closed:
		case <-s.doubt:
		case <-timer.C:
		}
		if err := p.ask(s.ctx); err != nil {
			s.end(err)
			return
		}
		timer.Reset(s.cfg.ProbeInterval)
	}
}

// looks is how often ask looks, within ProbeTimeout, whether anything has come. A
// process that was stopped for a while misses looks, and not the answer.
const looks = 15

// ask asks the client and waits for its answer. As long as anything comes from the
// client it is there: the answer may wait behind much else.
//
// A client that has been replaced by another one without a gap does not answer, and
// chansrv tells nothing of it. So a client that is silent is asked on a new channel,
// too. If there is an answer there, but none to the question that was asked before, the
// new channel is another client's. If chansrv has nobody to ask, the question was on its
// way when the client went.
func (p *probe) ask(ctx context.Context) error {
	s := p.s
	heard := s.heard.Load()
	if err := p.conn.Send(question.Append(nil)); err != nil {
		return fmt.Errorf("%w (%w)", errGone, err)
	}
	var other *otherWay
	defer func() { other.end() }()
	var verdict error
	look := time.NewTicker(max(s.cfg.ProbeTimeout/looks, time.Millisecond))
	defer look.Stop()
	for silent := 0; silent < looks; {
		select {
		case <-p.replied:
			return nil
		case <-p.closed:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			silent++
			if now := s.heard.Load(); now != heard {
				heard, silent, verdict = now, 0, nil
				other.end()
				other = nil
				continue
			}
			switch {
			case other == nil:
				other = s.askOtherWay(ctx)
			case verdict != nil:
				return verdict
			default:
				verdict = other.verdict()
			}
		}
	}
	return errSilent
}

var question = wire.CapabilitiesRequest{RequestID: 1, Version: wire.VersionWithCustomEvents}

// otherWay is the question on a new channel.
type otherWay struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // nil if there was an answer, valid after done
}

func (s *session) askOtherWay(ctx context.Context) *otherWay {
	ctx, cancel := context.WithCancel(ctx)
	o := &otherWay{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.err = s.askOnce(ctx)
	}()
	return o
}

// verdict says what has become of a client that has not answered the question before; nil
// if that is not known.
func (o *otherWay) verdict() error {
	select {
	case <-o.done:
	default:
		return nil
	}
	switch {
	case o.err == nil, errors.Is(o.err, channels.ErrRefused):
		return errReplaced
	case errors.Is(o.err, errNoClient):
		return errGone
	}
	return nil
}

// end gives up.
func (o *otherWay) end() {
	if o != nil {
		o.cancel()
		<-o.done
	}
}

// askOnce asks on a channel that is not among those that are counted: there is room for
// one more.
func (s *session) askOnce(ctx context.Context) error {
	conn, err := s.dial(ctx, channels.FileRedirectorChannel)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(question.Append(nil)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Receive implements channels.Receiver. The framer lets nothing through but the
// reply, or custom events, which mean nothing here.
func (p *probe) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.IOToServer)
	if err != nil || m.Kind == wire.KindCustomEvent {
		return err
	}
	p.replied <- struct{}{}
	return nil
}

// Closed implements channels.Receiver.
func (p *probe) Closed() { close(p.closed) }
