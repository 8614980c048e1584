// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// patience is a watchdog.
const patience = 20 * time.Second

// claimable is a node, another path to it and another node.
func claimable(t *testing.T) (path, link, other string) {
	t.Helper()
	dir := t.TempDir()
	path, link, other = filepath.Join(dir, "a"), filepath.Join(dir, "link"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	require.NoError(t, os.Symlink("a", link))
	t.Cleanup(func() { require.Empty(t, nodes.open, "a node that nobody has open still has state") })
	return path, link, other
}

func claim(t *testing.T, path string) *Claim {
	t.Helper()
	c, err := ClaimNode(path, nil)
	require.NoError(t, err)
	return c
}

func TestClaimBelongsToTheNode(t *testing.T) {
	path, link, other := claimable(t)
	c := claim(t, path)
	for _, p := range []string{path, link} {
		_, err := ClaimNode(p, nil)
		require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED, p)
		require.ErrorIs(t, AwaitClose(p, nil), pnp.ERROR_ACCESS_DENIED, p)
	}
	claim(t, other).Release()
	c.Release()
	again := claim(t, link)
	c.Release() // not the present one
	_, err := ClaimNode(path, nil)
	require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
	again.Release()
	_, err = ClaimNode(filepath.Join(path, "missing"), nil)
	require.Error(t, err)
	require.NoError(t, AwaitClose(path, nil))
}

func (c *Claim) isCurrent() bool {
	now, _ := nodes.claim(c.key)
	return now == c
}

// TestClaimWaitsForTheOneBefore: a claim waits while the one before is being closed;
// a third one does not wait.
func TestClaimWaitsForTheOneBefore(t *testing.T) {
	path, link, _ := claimable(t)
	first := claim(t, path)
	first.Closing(patience)
	beside := make(chan error, 1)
	go func() { beside <- AwaitClose(link, nil) }()
	require.Empty(t, beside)
	first.Release()
	require.NoError(t, <-beside)

	first = claim(t, path)
	first.Closing(patience)
	second := make(chan *Claim, 1)
	go func() {
		c, err := ClaimNode(link, nil)
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	require.Eventually(t, func() bool { return !first.isCurrent() }, patience, time.Millisecond)
	_, err := ClaimNode(path, nil)
	require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
	require.Empty(t, second)
	first.Release()
	(<-second).Release()
}

// TestClaimGivesUp: a claim stops waiting for a driver that hangs. Later claims wait
// for it, too.
func TestClaimGivesUp(t *testing.T) {
	path, _, _ := claimable(t)
	first := claim(t, path)
	first.Closing(time.Millisecond)
	for range 2 {
		_, err := ClaimNode(path, nil)
		require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
		require.ErrorIs(t, AwaitClose(path, nil), pnp.ERROR_ACCESS_DENIED)
		require.True(t, first.isCurrent())
	}
	// One that gives up just as the first is released leaves nothing behind.
	late := &Claim{key: first.key, released: make(chan struct{}), fd: -1}
	before, limit := late.enter()
	require.Same(t, first, before)
	require.NotZero(t, limit)
	first.Release()
	late.giveBack(first)
	claim(t, path).Release()
}

// TestCancelledClaim: an open that nobody wants any more stops waiting, and the next
// one waits as before.
func TestCancelledClaim(t *testing.T) {
	path, _, _ := claimable(t)
	first := claim(t, path)
	first.Closing(patience)
	cancelled, beside := make(chan struct{}), make(chan error, 2)
	go func() {
		_, err := ClaimNode(path, cancelled)
		beside <- err
	}()
	require.Eventually(t, func() bool { return !first.isCurrent() }, patience, time.Millisecond)
	close(cancelled)
	require.ErrorIs(t, <-beside, pnp.ERROR_OPERATION_ABORTED)
	require.ErrorIs(t, AwaitClose(path, cancelled), pnp.ERROR_OPERATION_ABORTED)
	require.True(t, first.isCurrent())
	first.Release()
}

// TestOneClaimAtATime claims a node from many goroutines.
func TestOneClaimAtATime(t *testing.T) {
	path, link, _ := claimable(t)
	var holders, claimed atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 200 {
				c, err := ClaimNode([]string{path, link}[i%2], nil)
				if err != nil {
					continue
				}
				claimed.Add(1)
				if holders.Add(1) != 1 {
					t.Error("two of them have it")
				}
				c.Closing(patience)
				holders.Add(-1)
				c.Release()
			}
		}()
	}
	all.Wait()
	require.Positive(t, claimed.Load())
}

func TestClaimOfWhatThePathLedTo(t *testing.T) {
	path, _, other := claimable(t)
	c := claim(t, path)
	n, err := OpenNode(other, pnp.OpenRequest{}, false, nil)
	require.NoError(t, err)
	defer os.NewFile(uintptr(n.FD), other).Close()
	require.ErrorIs(t, c.Opened(&n), pnp.ERROR_ACCESS_DENIED)
	c.Release()
}

// TestClaimOfWhatHasGone: the claim of a device that has gone does not keep others
// out.
func TestClaimOfWhatHasGone(t *testing.T) {
	master, path := devtest.OpenPTY(t)
	first := claim(t, path)
	n := openTerminal(t, path)
	require.NoError(t, first.Opened(n))
	_, err := ClaimNode(path, nil)
	require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
	// The node of a pseudo terminal goes with it, so the test makes up one that
	// comes back.
	_, again := devtest.OpenPTY(t)
	id, err := Identify(again)
	require.NoError(t, err)
	nodes.mu.Lock()
	delete(nodes.open, first.key)
	first.key = keyOf(id)
	nodes.of(first.key).claim = first
	nodes.mu.Unlock()
	require.NoError(t, master.Close())
	second := claim(t, again)
	first.Closing(patience)
	first.Release()
	_, err = ClaimNode(again, nil)
	require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
	second.Release()
	require.Empty(t, nodes.open)
}
