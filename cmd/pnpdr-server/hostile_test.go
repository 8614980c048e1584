// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/hostiletest"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/pnp/devtest"
)

// TestHostileClients serves one hostile client after the other with --mount, beside an
// honest one: its device works all the time, the program does not grow, and nothing is
// left of the others.
func TestHostileClients(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("there is no FUSE here: ", err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	dir := filepath.Join(t.TempDir(), "devices")
	m, err := openMounts(&options{mount: dir}, log)
	require.NoError(t, err)
	defer m.close()
	a := &app{opt: options{runOptions: runOptions{patience: patience}}, out: &transcript{w: new(devtest.Output)}, log: log, mounts: m}
	serve := func(client memory.Acceptor) (stop func()) {
		link := memory.NewLink(client)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = a.converse(ctx, link, "a client")
		}()
		return func() {
			cancel()
			link.Close()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the session does not end")
			}
		}
	}
	honest := newRemote(t)
	defer serve(honest.Session)()
	data := filepath.Join(dir, "1", "Ts_Fake_Device", "data")
	require.Eventually(t, func() bool { return exec.Command("test", "-e", data).Run() == nil }, patience, time.Millisecond)
	before := heap()
	for _, attack := range hostiletest.Attacks {
		t.Run(attack.Name, func(t *testing.T) {
			h := hostiletest.New(attack)
			stop := serve(h)
			select {
			case <-h.Begun():
			case <-time.After(patience):
				t.Fatal("the attack does not begin")
			}
			for range 3 {
				_ = exec.Command("timeout", "-s", "KILL", "0.1", "sh", "-c",
					`cd "$0" && for f in $(ls -d */data */tty | head -n 20); do head -c 10 <"$f" & printf x | dd of="$f" conv=nocreat,notrunc & done; wait`,
					filepath.Join(dir, "2")).Run()
				// What a flood leaves for the collector is more now and less then.
				require.Eventually(t, func() bool { return heap() < before+128<<20 }, patience, time.Millisecond, "the program grows")
				out, err := exec.Command("head", "-c", "5", data).CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Len(t, out, 5)
			}
			h.Stop()
			stop()
			require.NoDirExists(t, filepath.Join(dir, "2"))
		})
	}
}

// heap is what is in use, and what has been left during a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
