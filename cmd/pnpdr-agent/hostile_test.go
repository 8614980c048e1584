// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// TestHostileClients has an agent serve one hostile client after the other, while the
// agent of another session serves an honest one. Neither agent may grow or hang, and
// once an honest client comes, its device is there.
func TestHostileClients(t *testing.T) {
	if dir := os.Getenv(agentDir); dir != "" {
		beAgent(t, dir)
		return
	}
	calm := startProcess(t, xrdptest.New(t, newClient(t, "Scale")))
	calm.wait("Scale")
	chansrv := xrdptest.New(t, newClient(t, "Scale"))
	attacked := startProcess(t, chansrv)
	attacked.wait("Scale")
	before := attacked.memory()
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			h := newHostileClient(attack)
			defer h.stop()
			chansrv.Connect(nil)
			attacked.wait()
			chansrv.Connect(h)
			select {
			case <-h.begun:
			case <-time.After(watchdog):
				t.Fatal("the attack does not begin")
			}
			for range 5 {
				attacked.use() // whatever there is
				require.Less(t, attacked.memory(), before+memoryFactor*96<<10, "KiB; %d before", before)
			}
			h.stop()
			chansrv.Connect(nil)
			attacked.wait()
			chansrv.Connect(newClient(t, "Scale"))
			attacked.wait("Scale")
			attacked.control()
			calm.control()
		})
	}
	calm.end()
	attacked.end()
}

const agentDir = "PNPDR_TEST_AGENT_DIR"

// beAgent makes this process an agent.
func beAgent(t *testing.T, dir string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := newProgram(t, os.Getenv).cli
	c.stdout, c.stderr = os.Stderr, os.Stderr
	c.servers = []insession.Server{xrdp.Server{ProbeInterval: 20 * time.Millisecond, ProbeTimeout: 10 * time.Second}}
	require.Equal(t, exitOK, c.run(ctx, []string{"--dir", dir}))
}

// attack is what a hostile client does on its channels.
type attack struct {
	name string
	// info is called once the server has told that the client is logged on. It
	// returns when over is closed.
	info func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool)
	// reply returns what to send for a request; nil is what an honest client would.
	reply func(rnd *rand.Rand, m wire.Message) []byte
}

var attacks = []attack{
	{"devices without end", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for id := uint32(1); send(addition(id, fmt.Sprint("device ", id))); id++ {
			pause(over, id)
		}
	}, nil},
	{"devices that come and go", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for i := uint32(1); send(addition(i%7, fmt.Sprint("device ", i%3))) && send(wire.DeviceRemoval{ClientDeviceID: i % 7}.Append(nil)); i++ {
			pause(over, i)
		}
	}, nil},
	{"names", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for i, name := range []string{
			"", ".", "..", "/", "../../etc/passwd", "a/b", "\x00", "a\x00b", ".lock", "control", "-rf", "\u202Egnp.exe", "\x1b[2J",
			strings.Repeat("x", 255), strings.Repeat("ü", 255), strings.Repeat("y", 60000), "\ufeff", "a\nb", "~", "$(reboot)", "CON", "\ufffd", "\U0001F680",
		} {
			send(addition(uint32(i+1), name))
			send(addition(uint32(i+101), name))
		}
		<-over
	}, nil},
	{"large descriptions", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for id := uint32(1); send(addition(id, strings.Repeat("z", 1<<20))); id++ {
			pause(over, 0)
		}
	}, nil},
	{"four gigabytes announced", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for send(binary.LittleEndian.AppendUint32(nil, 0xFFFFFFFF)) && send(make([]byte, 1<<15)) {
			pause(over, 0)
		}
	}, nil},
	{"bytes without sense", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for send(randomBytes(rnd)) {
			pause(over, 0)
		}
	}, nil},
	{"a message that never ends", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		b := addition(1, "cut")
		send(b[:len(b)-3])
		<-over
	}, nil},
	{"silence", someDevices, func(*rand.Rand, wire.Message) []byte { return []byte{} }},
	{"replies that nobody asked for", someDevices, func(rnd *rand.Rand, m wire.Message) []byte {
		var b []byte
		for range 50 {
			b = wire.DataReply{RequestID: wire.RequestID(rnd.Uint32N(1 << 24)), Data: make([]byte, rnd.IntN(4096))}.Append(b)
		}
		return b
	}},
	{"replies without sense", someDevices, func(rnd *rand.Rand, m wire.Message) []byte { return randomBytes(rnd) }},
	{"more data than asked for", someDevices, func(rnd *rand.Rand, m wire.Message) []byte {
		switch m.Kind {
		case wire.KindReadRequest, wire.KindIOControlRequest:
			return wire.DataReply{RequestID: m.RequestID, Data: make([]byte, 1<<20)}.Append(nil)
		}
		return nil
	}},
	{"events without end", someDevices, func(rnd *rand.Rand, m wire.Message) []byte {
		var b []byte
		for range 200 {
			b = wire.CustomEvent{Data: make([]byte, rnd.IntN(4096))}.Append(b)
		}
		return append(b, honestReply(m)...)
	}},
	{"replies cut off", someDevices, func(rnd *rand.Rand, m wire.Message) []byte {
		b := honestReply(m)
		return b[:rnd.IntN(len(b)+1)]
	}},
}

// pause lets others run, and has the flood last until it is over.
func pause(over <-chan struct{}, n uint32) {
	if n%100 != 0 {
		return
	}
	select {
	case <-over:
	case <-time.After(time.Millisecond):
	}
}

func randomBytes(rnd *rand.Rand) []byte {
	b := make([]byte, rnd.IntN(1<<rnd.IntN(15))+1)
	for i := range b {
		b[i] = byte(rnd.Uint32() >> rnd.Uint32N(24))
	}
	return b
}

// someDevices are of every kind.
func someDevices(over <-chan struct{}, _ *rand.Rand, send func([]byte) bool) {
	for i, id := range []string{`PNPDR\SERIAL`, `PNPDR\HID`, `PNPDR\FILE`, `USB\Class_07`, "other"} {
		d := pnp.Description{Name: fmt.Sprint("d", i), HardwareIDs: []string{id}, CompatibleIDs: []string{id}}
		send(wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(uint32(i), &d).Append(nil)}.Append(nil))
	}
	<-over
}

func addition(id uint32, name string) []byte {
	d := pnp.Description{Name: name, HardwareIDs: []string{name}}
	return wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(id, &d).Append(nil)}.Append(nil)
}

func honestReply(m wire.Message) []byte {
	switch m.Kind {
	case wire.KindCapabilitiesRequest:
		return wire.CapabilitiesReply{RequestID: m.RequestID, Version: wire.VersionWithCustomEvents}.Append(nil)
	case wire.KindCreateFileRequest:
		return wire.CreateFileReply{RequestID: m.RequestID}.Append(nil)
	case wire.KindReadRequest:
		return wire.DataReply{RequestID: m.RequestID, Data: make([]byte, m.ReadRequest().CbBytesToRead)}.Append(nil)
	case wire.KindWriteRequest:
		return wire.WriteReply{RequestID: m.RequestID, CbBytesWritten: uint32(len(m.WriteRequest().Data))}.Append(nil)
	case wire.KindIOControlRequest:
		return wire.DataReply{RequestID: m.RequestID}.Append(nil)
	}
	return nil
}

// hostileClient is the client end of a session.
type hostileClient struct {
	attack
	begun, over chan struct{}
	begin, stop func() // close them
}

func newHostileClient(a attack) *hostileClient {
	h := &hostileClient{attack: a, begun: make(chan struct{}), over: make(chan struct{})}
	h.begin = sync.OnceFunc(func() { close(h.begun) })
	h.stop = sync.OnceFunc(func() { close(h.over) })
	return h
}

// Accept implements memory.Acceptor.
func (h *hostileClient) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	e := &hostileEnd{h: h, conn: conn, rnd: rand.New(rand.NewPCG(1, 2)), closed: make(chan struct{})}
	if name == channels.PNPDR {
		return &hostileInfo{hostileEnd: e}, nil
	}
	return e, nil
}

var _ memory.Acceptor = (*hostileClient)(nil)

// hostileEnd is the client end of a channel for I/O.
type hostileEnd struct {
	h      *hostileClient
	conn   channels.Conn
	rnd    *rand.Rand
	asked  int
	closed chan struct{}
}

func (e *hostileEnd) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.IOToClient)
	if err != nil {
		return nil
	}
	e.asked++
	var b []byte
	// The transport's own channel only asks for capabilities. It is answered honestly,
	// or there would be no session.
	if m.Kind != wire.KindCapabilitiesRequest && e.h.reply != nil {
		b = e.h.reply(e.rnd, m)
	}
	if b == nil {
		b = honestReply(m)
	}
	_ = e.conn.Send(b)
	return nil
}

func (e *hostileEnd) Closed() { close(e.closed) }

// hostileInfo is the client end of the channel that announces devices.
type hostileInfo struct{ *hostileEnd }

func (e *hostileInfo) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.InfoToClient)
	if err != nil {
		return nil
	}
	switch m.Kind {
	case wire.KindVersion:
		return e.conn.Send(wire.Version{MajorVersion: 1, MinorVersion: 5, Capabilities: 1}.Append(nil))
	case wire.KindAuthenticatedClient:
		go func() {
			e.h.info(e.h.over, e.rnd, func(b []byte) bool {
				e.h.begin()
				select {
				case <-e.h.over:
					return false
				case <-e.closed:
					return false
				default:
					return e.conn.Send(b) == nil
				}
			})
		}()
	}
	return nil
}

// process is an agent in a session of the fake server.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string
}

func startProcess(t *testing.T, f *xrdptest.Chansrv) *process {
	t.Helper()
	return startIn(t, f, filepath.Join(t.TempDir(), "pnpdr"))
}

func startIn(t *testing.T, f *xrdptest.Chansrv, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{
		t:   t,
		dir: dir,
		cmd: exec.Command(self, "-test.run", "^TestHostileClients$", "-test.timeout", "0"),
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	p.cmd.Env = append(os.Environ(), agentDir+"="+p.dir)
	for _, key := range []string{"XRDP_SESSION", "XRDP_SOCKET_PATH", "DISPLAY"} {
		p.cmd.Env = append(p.cmd.Env, key+"="+f.Env(key))
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("agent:\n%s", b[max(0, len(b)-4000):])
		}
	})
	return p
}

// wait waits until these devices are there and no other.
func (p *process) wait(names ...string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		found, _ := filepath.Glob(filepath.Join(p.dir, "*", "info.json"))
		for i := range found {
			found[i] = filepath.Base(filepath.Dir(found[i]))
		}
		return slices.Equal(found, names)
	}, watchdog, 5*time.Millisecond, "there are others than %v", names)
}

// memory is the resident set in KiB.
func (p *process) memory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(p.t, m, "the agent has ended")
	kib, err := strconv.Atoi(string(m[1]))
	require.NoError(p.t, err)
	return kib
}

// use has programs open, read and write what there is, until they are killed.
func (p *process) use() {
	_ = exec.Command("timeout", "-s", "KILL", "0.1", "sh", "-c",
		`cd "$0" && for f in $(ls -d */data */tty | head -n 20); do head -c 10 <"$f" & printf x 1<>"$f" & done; wait`, p.dir).Run()
}

// control asks the device of an honest client over the device's socket.
func (p *process) control() {
	p.t.Helper()
	c, err := net.Dial("unixpacket", filepath.Join(p.dir, "Scale", "control"))
	require.NoError(p.t, err)
	defer c.Close()
	require.NoError(p.t, c.SetDeadline(time.Now().Add(watchdog)))
	// An IOControl with id 7, as docs/agent.md describes it.
	var request []byte
	for _, v := range []uint32{0, 7, loopback.IOCTL_ECHO, 4} {
		request = binary.LittleEndian.AppendUint32(request, v)
	}
	_, err = c.Write(append(request, "echo"...))
	require.NoError(p.t, err)
	reply := make([]byte, 100)
	n, err := c.Read(reply)
	require.NoError(p.t, err)
	require.Equal(p.t, "\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00echo", string(reply[:n]))
}

func (p *process) end() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		require.NoError(p.t, err)
	case <-time.After(watchdog):
		p.t.Fatal("the agent does not end")
	}
}
