// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/mattn/go-pointer"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
)

// fake is a session and a receiver whose every method does what the test says.
type fake struct {
	accept  func() (channels.Receiver, error)
	receive func([]byte) error
	closed  func()
	ended   func()
}

func (f *fake) Accept(string, channels.Conn) (channels.Receiver, error) { return f.accept() }
func (f *fake) Receive(msg []byte) error                                { return f.receive(msg) }
func (f *fake) Closed()                                                 { f.closed() }
func (f *fake) Ended()                                                  { f.ended() }

// TestPanicsDoNotReachC lets Go panic below every export.
func TestPanicsDoNotReachC(t *testing.T) {
	host := new(Host)
	defer SetEntry(nil)

	SetEntry(func([]string, *Host) Session { panic("entry") })
	require.Nil(t, pnpdrEntry(0, nil, &host.c), "the plugin is left out")

	f := &fake{ended: func() { panic("ended") }, closed: func() { panic("closed") }}
	SetEntry(func([]string, *Host) Session { return f })
	session := pnpdrEntry(0, nil, &host.c)
	require.NotNil(t, session)

	f.accept = func() (channels.Receiver, error) { panic("accept") }
	require.Nil(t, pnpdrAccept(session, nil, nil), "the channel is refused")

	f.accept = func() (channels.Receiver, error) { return nil, errors.New("no") }
	require.Nil(t, pnpdrAccept(session, nil, nil))

	f.accept = func() (channels.Receiver, error) { return f, nil }
	receiver := pnpdrAccept(session, nil, nil)
	require.NotNil(t, receiver)

	f.receive = func([]byte) error { panic("receive") }
	require.NotZero(t, pnpdrReceive(receiver, nil, 0), "the channel is closed")
	f.receive = func([]byte) error { return errors.New("bad message") }
	require.NotZero(t, pnpdrReceive(receiver, nil, 0))
	f.receive = func([]byte) error { return nil }
	require.Zero(t, pnpdrReceive(receiver, nil, 0))

	pnpdrClosed(receiver)
	pnpdrEnded(session)
	for _, p := range []unsafe.Pointer{receiver, session} {
		require.Nil(t, pointer.Restore(p), "a handle outlives its last call")
	}
}

// TestSendAfterClose: FreeRDP has freed the channel.
func TestSendAfterClose(t *testing.T) {
	var given channels.Conn
	f := &capture{conn: &given}
	SetEntry(func([]string, *Host) Session { return f })
	defer SetEntry(nil)
	session := pnpdrEntry(0, nil, &new(Host).c)
	receiver := pnpdrAccept(session, nil, nil)
	pnpdrClosed(receiver)
	require.ErrorIs(t, given.Send([]byte("late")), channels.ErrClosed)
	_, err := given.Sent()
	require.ErrorIs(t, err, channels.ErrNotCounted, "this host does not count")
	pnpdrEnded(session)

	_, err = (&conn{counts: true}).Sent()
	require.ErrorIs(t, err, channels.ErrClosed)
}

// capture keeps the Conn that it was given.
type capture struct{ conn *channels.Conn }

func (c *capture) Accept(_ string, conn channels.Conn) (channels.Receiver, error) {
	*c.conn = conn
	return c, nil
}
func (c *capture) Receive([]byte) error { return nil }
func (c *capture) Closed()              {}
func (c *capture) Ended()               {}
