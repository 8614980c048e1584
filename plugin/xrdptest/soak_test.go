// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

const (
	workers = 16
	area    = cardSize / workers / 512 * 512 // of the file, for each
)

// TestSoak has 16 programs read and write for PNPDR_SOAK seconds. None may see an error
// or a wrong byte, and no process may grow.
func TestSoak(t *testing.T) {
	if i := os.Getenv(workerVariable); i != "" {
		work(t, i)
		return
	}
	needAgent(t)
	seconds, majors := number(t, "PNPDR_SOAK", defaultSoak)
	length := time.Duration(seconds) * time.Second
	withClients(t, majors, func(t *testing.T, x *xrdpserver.Server, binary string) {
		dev := newClient(t)
		c, s := x.Connect(t, binary, xrdpserver.Alice, dev.args())
		a := s.StartAgent(t)
		s.WaitFor(t, "card/data", "meter/tty")

		type worker struct {
			stop  io.Closer
			ended chan error
			out   *bytes.Buffer
		}
		var all []worker
		for i := range workers {
			w := worker{ended: make(chan error, 1), out: new(bytes.Buffer)}
			cmd := s.Command("/usr/bin/inside", "-test.v", "-test.run", "^TestSoak$")
			cmd.Dir = s.Devices()
			cmd.Env = append(cmd.Env, inSession+"=1", workerVariable+"="+strconv.Itoa(i))
			stop, err := cmd.StdinPipe()
			require.NoError(t, err)
			w.stop = stop
			cmd.Stdout, cmd.Stderr = w.out, w.out
			require.NoError(t, cmd.Start())
			go func() { w.ended <- cmd.Wait() }()
			all = append(all, w)
		}
		processes := map[string]int{"the agent": a.Cmd.Process.Pid, "the client": c.Pid()}
		time.Sleep(length / 3)
		before := make(map[string]usage)
		for name, pid := range processes {
			before[name] = usageOf(t, pid)
		}
		time.Sleep(length * 2 / 3)
		for name, pid := range processes {
			now, then := usageOf(t, pid), before[name]
			t.Logf("%s: %d KiB, %d descriptors; before %d KiB, %d descriptors", name, now.kib, now.files, then.kib, then.files)
			require.Less(t, now.kib, then.kib+then.kib/4+8<<10, "%s grows", name)
			require.Less(t, now.files, then.files+8, "%s opens more and more", name)
		}
		for _, w := range all {
			_ = w.stop.Close()
		}
		for i, w := range all {
			select {
			case err := <-w.ended:
				require.NoError(t, err, "worker %d: %s", i, w.out)
				t.Logf("worker %d: %s", i, regexp.MustCompile(`(?m)\S+ \d+ rounds$`).FindString(w.out.String()))
			case <-time.After(servertest.Patience):
				t.Fatalf("worker %d does not end", i)
			}
		}
		require.NoError(t, syscall.Kill(a.Cmd.Process.Pid, syscall.SIGTERM))
		require.NoError(t, a.Wait(t, "it was told to"))
		require.Empty(t, s.Mounts(t))
	})
}

type usage struct{ kib, files int }

func usageOf(t testing.TB, pid int) (u usage) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, m)
	u.kib, _ = strconv.Atoi(string(m[1]))
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	require.NoError(t, err)
	u.files = len(files)
	return u
}

const workerVariable = "PNPDR_XRDP_WORKER"

// work is one of the programs in the session. It goes on until its input ends.
func work(t *testing.T, which string) {
	i, err := strconv.Atoi(which)
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	name, round := "reader", readRound
	switch {
	case i == 0:
		name, round = "asker", askRound
	case i%2 == 0:
		name, round = "writer", writeRound
	}
	rounds := 0
	for {
		select {
		case <-over:
			require.NotZero(t, rounds)
			t.Logf("%s %d rounds", name, rounds)
			return
		default:
			require.NoError(t, round(i, rounds))
			rounds++
		}
	}
}

var original []byte

// readRound reads a piece of an area that nobody writes to.
func readRound(i, _ int) error {
	if original == nil {
		original = make([]byte, cardSize)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(original)
	}
	off := i*area + rand.IntN(area)
	n := min(1+rand.IntN(1<<rand.IntN(18)), (i+1)*area-off)
	f, err := os.Open(filepath.Join("card", "data"))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, int64(off)); err != nil {
		return err
	}
	if !bytes.Equal(b, original[off:off+n]) {
		return errors.New("wrong bytes")
	}
	return nil
}

// writeRound writes a piece of this program's own area and reads it back.
func writeRound(i, round int) error {
	off := i*area + rand.IntN(area)
	n := min(1+rand.IntN(1<<rand.IntN(18)), (i+1)*area-off)
	f, err := os.OpenFile(filepath.Join("card", "data"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bytes.Repeat([]byte{byte(round), byte(i)}, n/2+1)[:n]
	if _, err := f.WriteAt(b, int64(off)); err != nil {
		return err
	}
	if round%4 == 0 {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	back := make([]byte, n)
	if _, err := f.ReadAt(back, int64(off)); err != nil {
		return err
	}
	if !bytes.Equal(b, back) {
		return errors.New("what was written is not read")
	}
	return f.Close()
}

var port *os.File

// askRound has the meter repeat a number.
func askRound(_, round int) error {
	if port == nil {
		var err error
		if port, err = openRaw(filepath.Join("meter", "tty")); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(port, "echo %d\n", round); err != nil {
		return err
	}
	want := fmt.Sprintf("%d\n", round)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(port, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("the meter says %q, not %q", strings.TrimSpace(string(got)), strings.TrimSpace(want))
	}
	return nil
}
