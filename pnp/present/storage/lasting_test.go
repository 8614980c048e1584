// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/presenttest"
)

// waits waits until a read of the player has nothing to bring.
func (p *player) waits() {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.reads) > 0
	}, presenttest.Patience, time.Millisecond)
}

func (p *player) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// returns fails the test if f does not return.
func returns(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(presenttest.Patience):
		require.FailNow(t, "it does not return")
	}
}

// TestUnpluggedWhileOpening: the end does not wait for a player that does not answer to
// the beginning of a session.
func TestUnpluggedWhileOpening(t *testing.T) {
	before := answerTime
	answerTime = time.Hour
	defer func() { answerTime = before }()
	p := newPlayer(t)
	p.mute = true
	m := mount(t, p)
	done := make(chan error, 1)
	go func() {
		_, err := m.sh("ls Card_1")
		done <- err
	}()
	p.waits()
	returns(t, m.close)
	require.Error(t, <-done)
}

// TestIdleCloses: while a session that nobody uses is closed, no other begins.
func TestIdleCloses(t *testing.T) {
	before := answerTime
	answerTime = time.Hour
	defer func() { answerTime = before }()
	p := newPlayer(t)
	m := mount(t, p)
	m.prints("Card_1\n", "ls")
	d := m.p.device
	d.mu.Lock()
	l := d.link
	d.mu.Unlock()
	p.set(func() { p.mute = true })
	closed := make(chan struct{})
	go func() { defer close(closed); d.closeIdle(l) }()
	p.waits()
	require.Len(t, d.opening, 1)
	m.close()
	returns(t, func() { <-closed })
}

// TestNewSession: what was known of objects is not believed in another session, where
// their numbers may mean others.
func TestNewSession(t *testing.T) {
	p := newPlayer(t)
	h := p.add(0, "first", []byte("1"))
	m := mount(t, p)
	m.prints("1\n", "cat Card_1/first && echo")
	d := m.p.device
	d.mu.Lock()
	l := d.link
	d.mu.Unlock()
	d.closeIdle(l)
	p.set(func() { p.objects[h] = &object{name: "other", content: []byte("22")} })
	require.Eventually(t, func() bool { // the list is believed for a while
		out, err := m.sh("ls Card_1 && cat Card_1/other")
		return err == nil && out == "other\n22"
	}, presenttest.Patience, 100*time.Millisecond)
}

// TestGrows: a file that the player changes is read as it is now.
func TestGrows(t *testing.T) {
	p := newPlayer(t)
	h := p.add(0, "log", []byte("one\n"))
	m := mount(t, p)
	m.prints("one\n", "cat Card_1/log")
	p.set(func() { p.objects[h].content = []byte("one\ntwo\n") })
	p.report(0x4007)                    // ObjectInfoChanged
	require.Eventually(t, func() bool { // the kernel knows the name for a second
		out, err := m.sh("cat Card_1/log")
		return err == nil && out == "one\ntwo\n"
	}, presenttest.Patience, 100*time.Millisecond)
}

// TestSendAgain: a file that could not be sent for the second time, when the old one had gone,
// is there under another name, and can be sent again.
func TestSendAgain(t *testing.T) {
	const sendObjectInfo, deleteObject = 0x100C, 0x100B
	p := newPlayer(t)
	p.add(0, "old", []byte("old content"))
	m := mount(t, p)
	ctx := context.Background()
	d := newDirectory(m.p.device, 0x00010001, 0)
	o, errno := d.find(ctx, "old")
	require.Zero(t, errno)
	require.Zero(t, d.device.enterFile())
	w, err := newWriter(&file{device: d.device, parent: d, object: o})
	require.NoError(t, err)
	require.NoError(t, w.truncate(0))
	_, errno = w.Write(ctx, []byte("new"), 0)
	require.Zero(t, errno)
	p.set(func() { p.fail[sendObjectInfo] = 0x200C }) // StoreFull
	require.Equal(t, unix.ENOSPC, w.Flush(ctx))
	p.set(func() {
		require.Len(t, p.objects, 1)
		delete(p.fail, sendObjectInfo)
		p.then = func(code uint16) {
			if code == deleteObject {
				p.fail[sendObjectInfo] = 0x200C
			}
		}
	})
	require.Equal(t, unix.ENOSPC, w.Flush(ctx))
	m.prints("new", "cat Card_1/pnpdr-*.tmp")
	p.set(func() { delete(p.fail, sendObjectInfo); p.then = nil })
	require.Zero(t, w.Flush(ctx))
	require.Zero(t, w.Release(ctx))
	m.prints("new", "cat Card_1/old")
}

// TestReplacedByOthers: somebody else deletes the file that is to be replaced.
func TestReplacedByOthers(t *testing.T) {
	p := newPlayer(t)
	h := p.add(0, "file", []byte("old"))
	m := mount(t, p)
	m.prints("old", "cat Card_1/file")
	p.set(func() {
		p.then = func(code uint16) {
			if code == 0x100D { // SendObject
				delete(p.objects, h)
			}
		}
	})
	m.prints("file\nnew", "printf new >Card_1/file && ls Card_1 && cat Card_1/file")
}

// TestReplacing: the old file goes when the new one is there, which a player renames if it can.
func TestReplacing(t *testing.T) {
	const sendObjectInfo, sendObject, deleteObject, getPropDesc, setPropValue = 0x100C, 0x100D, 0x100B, 0x9802, 0x9804
	p := newPlayer(t)
	p.renames = true
	p.add(0, "file", []byte("old"))
	m := mount(t, p)
	local := filepath.Join(t.TempDir(), "local")
	require.NoError(t, os.WriteFile(local, []byte("new"), 0o600))
	for _, c := range []struct {
		operation uint16
		with      uint16
		message   string
		left      string
	}{
		{sendObjectInfo, 0x200C, "No space left on device", "file\n"},
		{sendObject, 0x200C, "No space left on device", "file\n"},
		{sendObject, 0x2009, "No such file", "file\n"},             // it says that of the new one
		{deleteObject, 0x200F, "Permission denied", "file\ntmp\n"}, // and what was sent cannot be deleted either
	} {
		p.set(func() { p.fail[c.operation] = c.with })
		m.fails(c.message, "cp %s Card_1/file", local)
		p.set(func() { delete(p.fail, c.operation) })
		m.prints(c.left+"old", "ls Card_1 | sed 's/.*[.]//' && cat Card_1/file")
	}
	m.prints("", "rm Card_1/*.tmp")
	p.set(func() { p.ops = nil })
	m.prints("file\nnew", "cp %s Card_1/file && ls Card_1 && cat Card_1/file", local)
	var order []uint16
	p.set(func() {
		for _, code := range p.ops {
			if code == sendObject || code == deleteObject || code == setPropValue {
				order = append(order, code)
			}
		}
		p.fail[setPropValue] = 0x200F // it does not rename after all
	})
	require.Equal(t, []uint16{sendObject, deleteObject, setPropValue}, order)
	m.prints("file\nnewer", "printf newer >Card_1/file && ls Card_1 && cat Card_1/file")
	p.set(func() { p.fail[getPropDesc] = 0xA801 }) // it has no such property
	m.prints("file\nnewest", "printf newest >Card_1/file && ls Card_1 && cat Card_1/file")
}

// TestMoving: mv copies what a player cannot rename, and a name is as long as PTP allows.
func TestMoving(t *testing.T) {
	p := newPlayer(t)
	p.add(0, "old", []byte("old content"))
	m := mount(t, p)
	local := filepath.Join(t.TempDir(), "local")
	require.NoError(t, os.WriteFile(local, []byte("local"), 0o600))
	m.prints("new\nold content", "mkdir Card_1/d && mv Card_1/old Card_1/d/new && ls Card_1/d && cat Card_1/d/new")
	m.prints("d\nlocal\n", "mv %s Card_1/local && ls Card_1", local)
	m.fails("File name too long", "mkdir Card_1/%s", strings.Repeat("n", 255))
}

// TestNamesOfAll: what the folders of a player remember together is bounded, and what one has
// forgotten is asked again.
func TestNamesOfAll(t *testing.T) {
	before := maxNames
	maxNames = 25
	defer func() { maxNames = before }()
	p := newPlayer(t)
	var folders []*directory
	ctx := context.Background()
	m := mount(t, p)
	for range 5 {
		h := p.add(0, "folder", nil)
		for range 10 {
			p.add(h, "file", []byte("x"))
		}
		folders = append(folders, newDirectory(m.p.device, 0x00010001, h))
	}
	for range 2 {
		for _, d := range folders {
			_, errno := d.Readdir(ctx)
			require.Zero(t, errno)
			remember := 0
			for _, d := range folders {
				if d.was != nil {
					remember += len(d.was.objects)
				}
			}
			require.LessOrEqual(t, remember, maxNames)
			require.Len(t, d.was.objects, 10)
			_, errno = d.find(ctx, "file (2)")
			require.Zero(t, errno)
		}
	}
	require.Equal(t, 2, m.p.device.names.folders.Len())
	require.Equal(t, 22, m.p.device.names.total)
}

// TestManyNames: a player with many files of one name does not keep the processor busy.
func TestManyNames(t *testing.T) {
	returns(t, func() {
		var n namer
		require.Equal(t, "a.b", n.name("a.b"))
		for range 100_000 {
			n.name("a.b")
		}
		require.Equal(t, "a (100002).b", n.name("a.b"))
	})
}

// TestLoop: a player whose folder is in itself costs a program an error.
func TestLoop(t *testing.T) {
	p := newPlayer(t)
	h := p.add(0, "loop", nil)
	p.add(0, "file", []byte("x"))
	m := mount(t, p)
	m.prints("file\nloop\n", "ls Card_1")
	p.set(func() { p.objects[h].parent = h })
	m.fails("Too many levels of symbolic links", "ls -R Card_1/loop/loop")
	m.prints("x\n", "cat Card_1/file && echo")
}
