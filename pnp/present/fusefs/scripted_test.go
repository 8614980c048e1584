// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/wire"
)

// scripted is a client that the test plays.
type scripted struct {
	*servertest.Fixture
	t    *testing.T
	fs   *FS
	dir  string
	data string
}

const scriptedID = 4

func newScripted(t *testing.T, kind *present.Kind) *scripted { return newServed(t, kind, nil) }

// newServed is newScripted with a function that answers what is sent on the channels of the
// device; nil if the test does.
func newServed(t *testing.T, kind *present.Kind, answer func(wire.Message) any) *scripted {
	t.Helper()
	s := &scripted{Fixture: servertest.Started(t, server.Config{}), t: t}
	if answer != nil {
		s.serve(answer)
	}
	s.fs = mountFS(t)
	d := present.NewDevice(s.AddDevice(scriptedID), kind, "scripted", t.TempDir(), presenttest.Log(t), present.Options{})
	s.fs.Add(d, Shape{Data: kind.Data})
	s.dir = filepath.Join(s.fs.Path(), "scripted")
	s.data = filepath.Join(s.dir, "data")
	return s
}

// opens lets the device be opened and returns the channel.
func (s *scripted) opens() *servertest.Channel {
	s.t.Helper()
	o := servertest.Opening{Channel: s.Client.Accept(channels.FileRedirectorChannel)}
	o.ReplyCapabilities(s.t, wire.VersionWithCustomEvents)
	o.ReplyCreateFile(s.t, pnp.S_OK)
	return o.Channel
}

func (s *scripted) inject(ch *servertest.Channel, m interface{ Append([]byte) []byte }) {
	s.t.Helper()
	require.NoError(s.t, ch.Inject(m.Append(nil)))
}

// checkCancelled plays a client that is asked to cancel a read once.
func (s *scripted) checkCancelled(ch *servertest.Channel, id wire.RequestID) {
	s.t.Helper()
	cancel := servertest.NextAs[wire.IoCancelRequest](ch)
	require.Equal(s.t, id, cancel.IDToCancel)
	s.inject(ch, wire.DataReply{RequestID: id, Result: pnp.ERROR_OPERATION_ABORTED})
}

// TestCtrlC: a signal sends one IoCancel, and the reader is gone.
func TestCtrlC(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		s := newScripted(t, streamKind)
		cat := start(t, "cat", s.data)
		ch := s.opens()
		r := servertest.NextAs[wire.ReadRequest](ch)
		cat.signal(sig)
		s.checkCancelled(ch, r.RequestID)
		cat.wait()
		assert.Equal(t, sig, cat.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
		ch.WaitEnd()
		assert.Empty(t, ch.Unread(), "one IoCancel, and no other request")
	}
}

// interrupted reads until a signal comes, without trying again.
const interrupted = `
use Errno;
$SIG{USR1} = sub { };
sysopen(F, $ARGV[0], 0) or die "open: $!";
defined(sysread(F, $b, 100)) and die "read $b";
print $!{EINTR} ? "EINTR\n" : "$!\n";
print sysread(F, $b, 100), " $b\n";
`

func TestEINTR(t *testing.T) {
	s := newScripted(t, streamKind)
	perl := start(t, "perl", "-e", interrupted, s.data)
	ch := s.opens()
	r := servertest.NextAs[wire.ReadRequest](ch)
	perl.signal(unix.SIGUSR1)
	s.checkCancelled(ch, r.RequestID)
	r = servertest.NextAs[wire.ReadRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("again")})
	assert.Equal(t, "EINTR\n5 again\n", perl.wait())
}

// TestLateData: data that comes instead of the cancellation is not lost.
func TestLateData(t *testing.T) {
	s := newScripted(t, streamKind)
	perl := start(t, "perl", "-e", `$SIG{USR1} = sub { }; sysopen(F, $ARGV[0], 0); print sysread(F, $b, 100), $b`, s.data)
	ch := s.opens()
	r := servertest.NextAs[wire.ReadRequest](ch)
	perl.signal(unix.SIGUSR1)
	servertest.NextAs[wire.IoCancelRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("came")})
	assert.Equal(t, "4came", perl.wait())
}

// TestDeviceGoes: programs that wait get ENODEV, and the folder has vanished.
func TestDeviceGoes(t *testing.T) {
	s := newScripted(t, streamKind)
	cat := start(t, "cat", s.data)
	ch := s.opens()
	servertest.NextAs[wire.ReadRequest](ch)
	opening := start(t, "cat", s.data)
	s.Client.Accept(channels.FileRedirectorChannel) // it waits for Capabilities Reply

	require.NoError(t, s.Info.Inject(servertest.Removal(scriptedID)))
	assert.Contains(t, cat.wait(), "No such device")
	assert.Contains(t, opening.wait(), "No such device")
	ch.WaitEnd()
	var st unix.Stat_t
	assert.Equal(t, unix.ENOENT, unix.Stat(s.dir, &st))
	assert.Equal(t, "", run(t, "ls", s.fs.Path()))
}

// TestHungClient: the file system ends although programs wait for a client that does not
// answer, to open, to read, to write, to stat, and to close.
func TestHungClient(t *testing.T) {
	for _, kind := range []*present.Kind{streamKind, randomKind} {
		s := newScripted(t, kind)
		var programs []*program
		for _, args := range [][]string{{"cat", s.data}, {"ls", "-l", s.dir}, {"sh", "-c", "echo hello > " + s.data}} {
			programs = append(programs, start(t, args[0], args[1:]...))
		}
		ch := s.opens()
		ch.Next()
		if kind == streamKind {
			ch = s.opens() // the other one
			ch.Next()
		}
		require.NoError(t, closeFS(t, s.fs))
		for _, p := range programs {
			p.wait()
		}
	}
}

// refuses refuses to open the device.
func (s *scripted) refuses(hr pnp.HRESULT) {
	s.t.Helper()
	o := servertest.Opening{Channel: s.Client.Accept(channels.FileRedirectorChannel)}
	o.ReplyCapabilities(s.t, wire.VersionWithCustomEvents)
	o.ReplyCreateFile(s.t, hr)
}

func TestErrnoOfOpen(t *testing.T) {
	s := newScripted(t, streamKind)
	for hr, want := range map[pnp.HRESULT]string{
		pnp.ERROR_SHARING_VIOLATION:   "Device or resource busy",
		pnp.ERROR_ACCESS_DENIED:       "Permission denied",
		pnp.ERROR_TOO_MANY_OPEN_FILES: "Too many open files",
		pnp.HRESULT(0x8007054F):       "Input/output error", // nobody knows it
	} {
		cat := start(t, "cat", s.data)
		s.refuses(hr)
		assert.Contains(t, cat.wait(), want)
	}
}

// TestRightsOfStream: a program gets the rights that it asks for.
func TestRightsOfStream(t *testing.T) {
	s := newScripted(t, streamKind)
	for mode, want := range map[string]uint32{"<": pnp.GENERIC_READ, ">": pnp.GENERIC_WRITE, "<>": pnp.GENERIC_READ | pnp.GENERIC_WRITE} {
		sh := start(t, "sh", "-c", ": "+mode+s.data)
		o := servertest.Opening{Channel: s.Client.Accept(channels.FileRedirectorChannel)}
		o.ReplyCapabilities(t, wire.VersionWithCustomEvents)
		assert.Equal(t, want, o.ReplyCreateFile(t, pnp.S_OK).DwDesiredAccess)
		sh.wait()
		o.Channel.WaitEnd()
	}
}

func TestEndOfStream(t *testing.T) {
	s := newScripted(t, streamKind)
	for _, end := range []pnp.HRESULT{pnp.ERROR_HANDLE_EOF, pnp.ERROR_BROKEN_PIPE, pnp.S_OK} {
		cat := start(t, "cat", s.data)
		ch := s.opens()
		r := servertest.NextAs[wire.ReadRequest](ch)
		s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("all there is")})
		r = servertest.NextAs[wire.ReadRequest](ch)
		s.inject(ch, wire.DataReply{RequestID: r.RequestID, Result: end})
		assert.Equal(t, "all there is", cat.wait())
		assert.True(t, cat.cmd.ProcessState.Success())
	}
	cat := start(t, "cat", s.data)
	ch := s.opens()
	r := servertest.NextAs[wire.ReadRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_IO_DEVICE})
	assert.Contains(t, cat.wait(), "Input/output error")
}

// TestFullRead: a read that the kernel cuts returns what there is, rather than wait for more.
func TestFullRead(t *testing.T) {
	s := newScripted(t, streamKind)
	python := start(t, "python3", "-c", `import os, sys; print(len(os.read(os.open(sys.argv[1], os.O_RDONLY), 3 << 20)))`, s.data)
	ch := s.opens()
	r := servertest.NextAs[wire.ReadRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: make([]byte, r.CbBytesToRead)})
	assert.Equal(t, fmt.Sprintln(r.CbBytesToRead), python.wait())
}

// TestWriteIsComplete: a write returns when the client has answered, with what it took.
func TestWriteIsComplete(t *testing.T) {
	s := newScripted(t, streamKind)
	sh := start(t, "sh", "-c", "printf 'hello world' > "+s.data)
	ch := s.opens()
	w := servertest.NextAs[wire.WriteRequest](ch)
	assert.Equal(t, "hello world", string(w.Data))
	select {
	case <-sh.end:
		t.Fatal("the write returned")
	default:
	}
	s.inject(ch, wire.WriteReply{RequestID: w.RequestID, CbBytesWritten: 6})
	w = servertest.NextAs[wire.WriteRequest](ch)
	assert.Equal(t, "world", string(w.Data), "the rest is the program's to write")
	s.inject(ch, wire.WriteReply{RequestID: w.RequestID, Result: pnp.ERROR_DISK_FULL})
	sh.wait()
	assert.False(t, sh.cmd.ProcessState.Success())
}

// writingLater writes without waiting.
const writingLater = `
import os, select, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
assert os.write(fd, b"first") == 5
try:
    os.write(fd, b"second")
    sys.exit("must not be taken")
except BlockingIOError:
    pass
assert select.select([], [fd], [], 0)[1] == []
print("waiting", flush=True)
assert select.select([], [fd], [])[1] == [fd]
assert os.write(fd, b"third") == 5
os.fsync(fd)
assert os.write(fd, b"fourth") == 6
assert select.select([], [fd], [])[1] == [fd]
try:
    os.write(fd, b"fifth")
    sys.exit("must fail")
except OSError as e:
    print(e.strerror)
`

func TestNonBlockingWrite(t *testing.T) {
	s := newScripted(t, streamKind)
	python := start(t, "python3", "-c", writingLater, s.data)
	ch := s.opens()
	next := func(want string, hr pnp.HRESULT, n uint32) {
		t.Helper()
		w := servertest.NextAs[wire.WriteRequest](ch)
		require.Equal(t, want, string(w.Data))
		s.inject(ch, wire.WriteReply{RequestID: w.RequestID, Result: hr, CbBytesWritten: n})
	}
	python.begun()
	next("first", pnp.S_OK, 2)
	next("rst", pnp.S_OK, 3)
	next("third", pnp.S_OK, 5)
	next("fourth", pnp.ERROR_IO_DEVICE, 0)
	assert.Equal(t, "waiting\nInput/output error\n", python.wait())
}

// TestTwoReaders: each program has a handle of its own, and two reads on one are both under
// way.
func TestTwoReaders(t *testing.T) {
	s := newScripted(t, streamKind)
	first := start(t, "head", "-c", "5", s.data)
	a := s.opens()
	ra := servertest.NextAs[wire.ReadRequest](a)
	second := start(t, "sh", "-c", "exec 3<"+s.data+"; head -c 3 <&3 & head -c 3 <&3 & wait")
	b := s.opens()
	rb, rc := servertest.NextAs[wire.ReadRequest](b), servertest.NextAs[wire.ReadRequest](b)
	s.inject(b, wire.DataReply{RequestID: rc.RequestID, Data: []byte("two")})
	s.inject(b, wire.DataReply{RequestID: rb.RequestID, Data: []byte("two")})
	assert.Equal(t, "twotwo", second.wait())
	s.inject(a, wire.DataReply{RequestID: ra.RequestID, Data: []byte("first")})
	assert.Equal(t, "first", first.wait())
}

// TestPollOfGoneDevice: a program that polls hears that the device has gone.
func TestPollOfGoneDevice(t *testing.T) {
	s := newScripted(t, streamKind)
	python := start(t, "python3", "-c", `
import os, select, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
e = select.epoll(); e.register(fd, select.EPOLLIN)
print("polling", flush=True)
[(_, events)] = e.poll()
print(bool(events & select.EPOLLHUP))
try: os.read(fd, 1)
except OSError as e: print(e.strerror)
try: os.write(fd, b"x")
except OSError as e: print(e.strerror)`, s.data)
	ch := s.opens()
	python.begun()
	servertest.NextAs[wire.ReadRequest](ch)
	require.NoError(t, s.Info.Inject(servertest.Removal(scriptedID)))
	assert.Equal(t, "polling\nTrue\nNo such device\nNo such device\n", python.wait())
}

// TestInterruptedOpen: a program that waits for the size of a file can be stopped at once,
// although the client does not answer.
func TestInterruptedOpen(t *testing.T) {
	s := newScripted(t, randomKind)
	perl := start(t, "perl", "-e", `sysopen(F, $ARGV[0], 0)`, s.data)
	ch := s.opens()
	servertest.NextAs[wire.IOControlRequest](ch)
	perl.signal(unix.SIGKILL)
	perl.wait()
	ch.WaitEnd()
}
