// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// openTerminal opens a terminal as a device does.
func openTerminal(t *testing.T, path string) *Node {
	t.Helper()
	n, err := OpenNode(path, pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE}, false, nil)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(n.FD) })
	return &n
}

func settings(t *testing.T, n *Node) unix.Termios {
	t.Helper()
	s, err := GetTermios(n.FD)
	require.NoError(t, err)
	return s
}

// enterRaw makes the terminal raw and then applies change, if any.
func enterRaw(t *testing.T, n *Node, change func(unix.Termios) unix.Termios) *Terminal {
	t.Helper()
	x, err := EnterTerminal(n, func(now unix.Termios) error { return SetTermios(n.FD, change(now)) })
	require.NoError(t, err)
	return x
}

func leave(t *testing.T, x *Terminal, n *Node) {
	t.Helper()
	require.NoError(t, x.Leave(n.FD, func(saved unix.Termios) error { return SetTermios(n.FD, saved) }, nil))
}

// TestTheLastUserRestores: the last user restores the settings, whoever was the first
// and whatever each has changed.
func TestTheLastUserRestores(t *testing.T) {
	_, path := devtest.OpenPTY(t)
	first, second := openTerminal(t, path), openTerminal(t, path)
	before := settings(t, first)
	a := enterRaw(t, first, Raw)
	raw := settings(t, first)
	require.NotEqual(t, before, raw)
	b := enterRaw(t, second, func(s unix.Termios) unix.Termios {
		require.Equal(t, raw, s)
		s.Cflag |= unix.CSTOPB
		return s
	})
	c := enterRaw(t, first, func(s unix.Termios) unix.Termios { return s })
	var handed unix.Termios
	require.NoError(t, c.Leave(first.FD, nil, func(saved unix.Termios) error {
		handed = saved
		return nil
	}))
	require.Equal(t, before, handed, "others stay")
	leave(t, a, first)
	require.NotZero(t, settings(t, second).Cflag&unix.CSTOPB, "restored while the second uses the terminal")
	leave(t, b, second)
	require.Equal(t, before, settings(t, second))
	require.Empty(t, nodes.open)
}

// TestAnEnterMeetsALeave: a user that enters while the last one restores finds either
// the terminal's own settings or a terminal in use. In the end it is restored.
func TestAnEnterMeetsALeave(t *testing.T) {
	_, path := devtest.OpenPTY(t)
	before := settings(t, openTerminal(t, path))
	var users sync.WaitGroup
	for range 4 {
		n := openTerminal(t, path)
		users.Add(1)
		go func() {
			defer users.Done()
			for range 200 {
				x, err := EnterTerminal(n, func(now unix.Termios) error { return SetTermios(n.FD, Raw(now)) })
				if err != nil {
					t.Error(err)
					return
				}
				if now, err := GetTermios(n.FD); err != nil || now.Lflag&unix.ICANON != 0 {
					t.Errorf("not raw while it is in use: %v", err)
				}
				if err := x.Leave(n.FD, func(saved unix.Termios) error { return SetTermios(n.FD, saved) }, nil); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	users.Wait()
	require.Equal(t, before, settings(t, openTerminal(t, path)))
	require.Empty(t, nodes.open)
}

// TestAnotherTerminal: after a terminal hung up, another one can have its number.
// Pseudo terminals keep their number until the last close, so the test fakes that.
func TestAnotherTerminal(t *testing.T) {
	master, path := devtest.OpenPTY(t)
	gone := openTerminal(t, path)
	a := enterRaw(t, gone, Raw)
	_, again := devtest.OpenPTY(t)
	require.NoError(t, master.Close())
	require.True(t, HungUp(gone.FD))
	n := openTerminal(t, again)
	n.Stat = gone.Stat
	before := settings(t, n)
	b := enterRaw(t, n, Raw)
	_ = a.Leave(gone.FD, func(unix.Termios) error { return nil }, nil)
	require.NotEqual(t, before, settings(t, n))
	leave(t, b, n)
	require.Equal(t, before, settings(t, n))
	require.Empty(t, nodes.open)
}

// TestNotATerminal: EnterTerminal fails and leaves nothing behind.
func TestNotATerminal(t *testing.T) {
	n, err := OpenNode(os.DevNull, pnp.OpenRequest{Access: pnp.GENERIC_READ}, false, nil)
	require.NoError(t, err)
	defer unix.Close(n.FD)
	_, err = EnterTerminal(&n, func(unix.Termios) error { return nil })
	require.ErrorIs(t, err, unix.ENOTTY)
	require.Empty(t, nodes.open)
}
