// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// usesFile reads, writes and closes, and does nothing of it twice.
const usesFile = `
$SIG{USR1} = sub { $signals++ };
syswrite(STDOUT, "begun\n");
for (1 .. 10) {
	sysopen(F, $ARGV[0], 2 | $ARGV[1]) or die "open: $!";
	sysread(F, $b, 5000) == 5000 or die "read: $!";
	sysseek(F, 0, 0);
	syswrite(F, $b) == 5000 or die "write: $!";
	close(F) or die "close: $!";
}
print $signals > 0;
`

// TestSignalsDoNotInterruptFiles: as on a disk, a signal that a program handles does not
// interrupt what it does with a file.
func TestSignalsDoNotInterruptFiles(t *testing.T) {
	s := newNetwork(t, 3*time.Millisecond, fileDevice(t, newFile(t, pattern(50000)), false))
	f := mountFS(t)
	d := theDevice(t, s, randomKind)
	t.Cleanup(f.Add(d, Shape{Data: randomKind.Data}))
	perl := start(t, "perl", "-e", usesFile, filepath.Join(f.Path(), d.Name, "data"))
	perl.begun()
	for ended := false; !ended; time.Sleep(time.Millisecond) {
		ended = perl.cmd.Process.Signal(unix.SIGUSR1) != nil
	}
	assert.Equal(t, "begun\n1", perl.wait())
}

// TestSuspendedProgram: a program that is suspended and goes on, and one that another signal
// interrupts while it blocks one, do not notice it.
func TestSuspendedProgram(t *testing.T) {
	s := newNetwork(t, 3*time.Millisecond, fileDevice(t, newFile(t, pattern(50000)), false))
	f := mountFS(t)
	d := theDevice(t, s, randomKind)
	t.Cleanup(f.Add(d, Shape{Data: randomKind.Data}))
	const blocks = `use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR2)); kill(USR2 => $$);`
	for _, c := range []struct {
		script  string
		signals []syscall.Signal
		out     string
	}{
		{usesFile, []syscall.Signal{unix.SIGSTOP, unix.SIGCONT}, "begun\n"},
		{blocks + usesFile, []syscall.Signal{unix.SIGUSR1}, "begun\n1"},
	} {
		perl := start(t, "perl", "-e", c.script, filepath.Join(f.Path(), d.Name, "data"))
		perl.begun()
		for ended := false; !ended; time.Sleep(time.Millisecond) {
			for _, sig := range c.signals {
				ended = perl.cmd.Process.Signal(sig) != nil
			}
		}
		assert.Equal(t, c.out, perl.wait(), "%v", c.signals)
	}
}

// heldDevice is a file whose reads end only when they are cancelled.
type heldDevice struct{ pnp.Device }

func (d heldDevice) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := d.Device.Open(r)
	return heldHandle{h}, err
}

type heldHandle struct{ pnp.Handle }

func (h heldHandle) Submit(r *pnp.Request) {
	if r.Op != pnp.OpRead {
		h.Handle.Submit(r)
	}
}
func (h heldHandle) Cancel(r *pnp.Request) { r.Complete(pnp.ERROR_OPERATION_ABORTED, 0) }

// TestStuckFile: a program that waits for a file can be stopped, although signals came
// before that do not.
func TestStuckFile(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		p := presenttest.NewPair(t, server.Config{}, heldDevice{fileDevice(t, newFile(t, pattern(50000)), false)})
		data := add(t, mountFS(t), p, "disk", randomKind)
		// A program that reads through the page cache waits for the cache.
		perl := start(t, "perl", "-e", usesFile, data, strconv.Itoa(unix.O_DIRECT))
		perl.begun()
		for range 50 {
			perl.signal(unix.SIGUSR1)
			time.Sleep(time.Millisecond)
		}
		perl.signal(sig)
		perl.wait()
		assert.Equal(t, sig, perl.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
}
