// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// lineFile presents a device whose events are the lines of a channel.
func lineFile(t *testing.T, lines chan []byte) (path string, remove func(), open *atomic.Int32) {
	t.Helper()
	p := presenttest.NewPair(t, server.Config{}, loopback.New(loopback.DefaultDescription()))
	f := mountFS(t)
	name := loopback.DefaultDescription().Name
	open = new(atomic.Int32)
	remove = f.Add(p.Device(name, streamKind), Shape{Events: func() (<-chan []byte, func()) {
		open.Add(1)
		return lines, func() { open.Add(-1) }
	}})
	return filepath.Join(f.Path(), name, "events"), remove, open
}

func TestEvents(t *testing.T) {
	lines := make(chan []byte, 4)
	path, remove, open := lineFile(t, lines)
	lines <- []byte("{\"guid\": 1}\n")
	lines <- []byte("{\"guid\": 2}\n")
	assert.Equal(t, "{\"guid\": 1}\n{\"guid\": 2}\n", run(t, "head", "-c", "24", path))

	// A program that reads less gets the rest of the line next.
	lines <- []byte("abcdef\n")
	assert.Equal(t, "abcd ef\n\n", run(t, "perl", "-e", `sysopen(F, $ARGV[0], 0); sysread(F, $b, 4); print "$b "; sysread(F, $b, 4); print "$b\n"`, path))

	out, err := try(t, nil, "sh", "-c", ": >> '"+path+"'")
	assert.Error(t, err)
	assert.Contains(t, out, "Permission denied")

	// One that waits ends with the device.
	cat := start(t, "cat", path)
	lines <- []byte("last\n")
	cat.begun()
	remove()
	assert.Equal(t, "last\n", cat.wait())
	assert.True(t, cat.cmd.ProcessState.Success())
	require.Eventually(t, func() bool { return open.Load() == 0 }, presenttest.Patience, sizeValid/100, "cancel is called")
}

func TestEventsWithoutWaiting(t *testing.T) {
	lines := make(chan []byte, 4)
	path, _, _ := lineFile(t, lines)
	python := start(t, "python3", "-c", `
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
print(select.select([fd], [], [], 0)[0], flush=True)
for i in range(2):
    select.select([fd], [], [])
    print(os.read(fd, 100), flush=True)`, path)
	python.begun()
	lines <- []byte("one\n")
	lines <- []byte("two\n")
	assert.Equal(t, "[]\nb'one\\n'\nb'two\\n'\n", python.wait())
}

// TestEventsInterrupted: a signal ends the wait.
func TestEventsInterrupted(t *testing.T) {
	path, _, open := lineFile(t, make(chan []byte))
	cat := start(t, "cat", path)
	require.Eventually(t, func() bool { return open.Load() == 1 }, presenttest.Patience, sizeValid/100)
	cat.signal(unix.SIGTERM)
	cat.wait()
	require.Eventually(t, func() bool { return open.Load() == 0 }, presenttest.Patience, sizeValid/100)
}
