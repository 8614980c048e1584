// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mounted is a player whose files are presented.
type mounted struct {
	*player
	t    *testing.T
	pair *presenttest.Pair
	p    *presentation

	closing sync.Once
}

func mount(t *testing.T, p *player) *mounted {
	t.Helper()
	m := mountDevice(t, p)
	m.player = p
	return m
}

func mountDevice(t *testing.T, p pnp.Device) *mounted {
	t.Helper()
	if err := fusetest.Unavailable(); err != nil {
		t.Skip(err)
	}
	pair := presenttest.NewPair(t, server.Config{}, p)
	d := pair.Device("player", &present.Kind{Name: "image"})
	made, err := Present(context.Background(), d)
	require.NoError(t, err)
	m := &mounted{t: t, pair: pair, p: made.(*presentation)}
	t.Cleanup(m.close)
	return m
}

func (m *mounted) close() {
	m.closing.Do(func() {
		m.p.Close()
		require.NoDirExists(m.t, m.p.path)
	})
}

// sh runs a command of the shell in the folder, and returns what it prints. This process
// must not use the file system that it serves.
func (m *mounted) sh(command string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), presenttest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "cd "+m.p.path+" && "+fmt.Sprintf(command, args...))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *mounted) prints(want, command string, args ...any) {
	m.t.Helper()
	out, err := m.sh(command, args...)
	require.NoError(m.t, err, "%s: %s", command, out)
	require.Equal(m.t, want, out, command)
}

func (m *mounted) fails(with, command string, args ...any) {
	m.t.Helper()
	out, err := m.sh(command, args...)
	require.Error(m.t, err, command)
	require.Contains(m.t, out, with, command)
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestFiles: programs that know nothing of cameras list, read and compare what is there,
// whether the player gives parts of files or whole ones.
func TestFiles(t *testing.T) {
	for _, partial := range []bool{true, false} {
		p := newPlayer(t)
		p.partial = partial
		dir := p.add(0, "DCIM", nil)
		content := random(3<<20 + 17)
		p.add(dir, "IMG_1.JPG", content)
		p.add(dir, "empty", []byte{})
		p.add(dir, "even", content[:8*packet-12])
		p.add(0, "note.txt", []byte("hello\n"))
		m := mount(t, p)
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.WriteFile(copied, content, 0o600))

		m.prints("Card_1\n", "ls")
		m.prints("Card_1/DCIM\nCard_1/note.txt\n", "ls -d Card_1/*")
		m.prints("hello\n", "cat Card_1/note.txt")
		m.prints("3145745 2024-01-31 12:34:56\n", "TZ= date -d @$(stat -c %%Y Card_1/DCIM/IMG_1.JPG) >/dev/null; stat -c %%s Card_1/DCIM/IMG_1.JPG | tr '\\n' ' '; date -d @$(stat -c %%Y Card_1/DCIM/IMG_1.JPG) '+%%F %%T'")
		m.prints("", "cmp Card_1/DCIM/IMG_1.JPG %s", copied)
		m.prints("", "cat Card_1/DCIM/empty")
		m.prints("4084\n", "cat Card_1/DCIM/even | wc -c")
		tail := strings.TrimSpace(fmt.Sprintf("%x", content[3<<20:]))
		m.prints(tail+"\n", "tail -c 17 Card_1/DCIM/IMG_1.JPG | od -An -v -tx1 | tr -d ' \\n'; echo")
		m.fails("No such file", "cat Card_1/none")
		m.fails("No such file", "cat none/x")
		out, err := m.sh("df -B4096 --output=size,avail .")
		require.NoError(t, err)
		require.Contains(t, out, "262144")
		m.close()
		m.pair.Close()
	}
}

// TestWriting: files and folders are made, replaced and deleted; a file is at the player
// when the program has closed it.
func TestWriting(t *testing.T) {
	p := newPlayer(t)
	p.add(0, "old", []byte("old content"))
	m := mount(t, p)
	content := random(2<<20 + 500)
	local := filepath.Join(t.TempDir(), "local")
	require.NoError(t, os.WriteFile(local, content, 0o600))

	m.prints("", "mkdir Card_1/new && cp %s Card_1/new/file && cmp %s Card_1/new/file", local, local)
	m.prints("", "echo short > Card_1/new/file")
	m.prints("short\n", "cat Card_1/new/file")
	m.prints("", ": > Card_1/new/nothing && test -f Card_1/new/nothing && ! test -s Card_1/new/nothing")
	m.prints("", "cp %s Card_1/old && cmp %s Card_1/old", local, local)
	m.fails("Directory not empty", "rmdir Card_1/new")
	m.fails("Operation not supported", "echo more | dd of=Card_1/old oflag=append conv=notrunc")
	m.prints("", "cmp %s Card_1/old", local)
	m.prints("", "rm Card_1/new/* Card_1/old && rmdir Card_1/new")
	m.prints("", "ls Card_1")
	p.mu.Lock()
	var left []string
	for _, o := range p.objects {
		left = append(left, o.name)
	}
	p.fail[0x100C] = 0x200C // StoreFull
	p.mu.Unlock()
	require.Empty(t, left)
	m.fails("No space left on device", "cp %s Card_1/full", local)
	p.mu.Lock()
	p.fail[0x100C] = 0x200E // StoreReadOnly
	p.mu.Unlock()
	m.fails("Read-only file system", "mkdir Card_1/x")
}

// TestEvents: a file that appears at the player appears in the folder, and what is known
// is not asked for again.
func TestEvents(t *testing.T) {
	p := newPlayer(t)
	p.add(0, "first", []byte("1"))
	m := mount(t, p)
	m.prints("first\n", "ls Card_1")
	p.add(0, "second", []byte("2"))
	p.report(0x4002) // ObjectAdded
	require.Eventually(t, func() bool {
		out, err := m.sh("ls Card_1")
		return err == nil && out == "first\nsecond\n"
	}, presenttest.Patience, 10*time.Millisecond)
	p.mu.Lock()
	infos := 0
	for _, op := range p.ops {
		if op == 0x1008 {
			infos++
		}
	}
	p.mu.Unlock()
	require.Equal(t, 2, infos, "each object is asked about once")
}

// TestNames: whatever the player calls its files, they have names that are theirs alone.
func TestNames(t *testing.T) {
	p := newPlayer(t)
	for _, name := range []string{"a/b", "a_b", "..", "", "same.jpg", "same.jpg", "line\nbreak", strings.Repeat("ä", 250)} {
		p.add(0, name, []byte("x"))
	}
	m := mount(t, p)
	out, err := m.sh("ls Card_1")
	require.NoError(t, err)
	require.Equal(t, []string{
		"00000103", "00000104", "a_b", "a_b (2)", "line_break", "same (2).jpg", "same.jpg", strings.Repeat("ä", 120),
	}, strings.Split(strings.TrimSpace(out), "\n"))
	m.prints("xxxxxxxx\n", "cat Card_1/* && echo")
}

// TestLies: a player that breaks the protocol costs a call an error, and the next one
// begins anew.
func TestLies(t *testing.T) {
	before := answerTime
	answerTime = 200 * time.Millisecond
	defer func() { answerTime = before }()
	long := u32s(0xFFFFFFF0)
	for name, raw := range map[string][]byte{
		"no container":     []byte("hello, I am a printer"),
		"half a header":    {1, 2, 3},
		"too short":        append(u32s(4), 2, 0, 0, 0),
		"too long":         append(long, 2, 0, 1, 0x10, 0, 0, 0, 0),
		"endless response": append(long, 3, 0, 1, 0x20, 0, 0, 0, 0),
		"a strange kind":   append(u32s(12), 9, 0, 1, 0x20, 0, 0, 0, 0),
		"more than asked":  append(append(u32s(12), 3, 0, 1, 0x20, 0, 0, 0, 0), "more"...),
		"many objects":     append(append(u32s(16), 2, 0, 4, 0x10, 0, 0, 0, 0), 0xFF, 0xFF, 0xFF, 0xFF),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t)
			p.add(0, "file", []byte("x"))
			m := mount(t, p)
			m.prints("file\n", "ls Card_1")
			p.mu.Lock()
			p.raw = raw
			p.mu.Unlock()
			p.report(0x4002)
			require.Eventually(t, func() bool {
				_, err := m.sh("cat Card_1/file")
				return err != nil
			}, presenttest.Patience, 10*time.Millisecond)
			p.mu.Lock()
			p.raw, p.out = nil, nil
			p.mu.Unlock()
			m.prints("x\n", "cat Card_1/file && echo")
		})
	}
}

// TestUnplug: a program that reads gets an error when the player goes, and so does one
// that waits for a player that does not answer.
func TestUnplug(t *testing.T) {
	p := newPlayer(t)
	p.add(0, "file", []byte("x"))
	m := mount(t, p)
	m.prints("file\n", "ls Card_1")
	p.mu.Lock()
	p.mute = true
	p.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := m.sh("cat Card_1/file")
		done <- err
	}()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.reads) > 0
	}, presenttest.Patience, time.Millisecond)
	m.close()
	require.Error(t, <-done)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.opened == 0
	}, presenttest.Patience, time.Millisecond)
}
