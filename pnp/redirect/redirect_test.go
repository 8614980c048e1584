// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a session on a tree of devices, with a server at the other end.
type machine struct {
	*discovertest.Tree
	t      testing.TB
	kinds  backend.Table
	name   string
	s      *Session
	core   *client.Session
	remote *server.Session
	come   chan server.DeviceEvent
	hung   bool // a path does not answer until the test has ended

	startWait time.Duration
	log       devtest.Output
}

// start begins a session with the options, and the rules of files.
func (m *machine) start(admin, user string, words ...string) {
	t := m.t
	dir := t.TempDir()
	files := rules.Files{Admin: filepath.Join(dir, "admin.toml"), User: filepath.Join(dir, "user.toml")}
	require.NoError(t, os.WriteFile(files.Admin, []byte(admin), 0o600))
	require.NoError(t, os.WriteFile(files.User, []byte(user), 0o600))
	for _, file := range []string{files.Admin, files.User} {
		_, problems := rules.Check(file, m.kinds)
		require.Empty(t, problems)
	}
	m.startWith(files, words...)
	<-m.s.started
}

// startWith begins a session that may be starting still.
func (m *machine) startWith(files rules.Files, words ...string) {
	t := m.t
	o := ParseOptions(words, m.kinds)
	require.Empty(t, o.Problems)
	log := m.log.Logger(slog.LevelDebug)
	m.core = client.NewSession(client.Config{Limits: o.Limits, Log: log})
	link := memory.NewLink(m.core)
	m.come = make(chan server.DeviceEvent, 1024)
	m.remote = server.New(link, server.Config{OnDevice: func(e server.DeviceEvent) { m.come <- e }})
	m.s = Start(o, Config{Name: m.name, Log: log, Devices: m.core, Files: files, Discovery: m.discovery(), startWait: m.startWait})
	require.NoError(t, m.remote.Start(context.Background()))
	require.NoError(t, m.remote.LoggedOn())
	t.Cleanup(func() {
		m.remote.Close()
		link.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		ended := m.s.End()
		require.NoError(t, m.core.Close(ctx))
		require.Zero(t, m.core.Counts())
		if m.hung {
			return
		}
		select {
		case <-ended:
		case <-ctx.Done():
			t.Error("the session does not end")
		}
	})
}

// discovery is the tree's, or that of the real machine.
func (m *machine) discovery() discover.Config {
	if m.Tree == nil {
		return discover.Config{}
	}
	return m.Config()
}

func newMachine(t testing.TB) *machine {
	return &machine{Tree: discovertest.New(t), t: t, kinds: kinds.All()}
}

// event waits for the next device that comes or goes, in words.
func (m *machine) event() string {
	m.t.Helper()
	select {
	case e := <-m.come:
		if e.Removed {
			return "-" + e.Device.Description().Name
		}
		return "+" + e.Device.Description().Name
	case <-time.After(time.Minute):
		m.t.Fatalf("no device comes or goes; the log:\n%s", m.log.String())
		return ""
	}
}

// redirected returns the names of what is redirected once everything that
// happened so far was seen. A device that is plugged in last may be told of before
// others that were found by the same look, but it does not go before that look is
// over.
func (m *machine) redirected() []string {
	m.t.Helper()
	marker := discovertest.FTDI("")
	marker.Vendor, marker.Product = 0x0001, "Marker"
	plugged := m.Plug(marker)
	for !strings.Contains(m.event(), "+Marker") {
	}
	plugged.Unplug()
	for !strings.Contains(m.event(), "-Marker") {
	}
	names := []string{}
	for _, d := range m.remote.Devices() {
		names = append(names, d.Description().Name)
	}
	slices.Sort(names)
	return names
}

// TestAuto: what is eligible is redirected, present or plugged in later, and
// what drives the local desktop or has channels of its own is not.
func TestAuto(t *testing.T) {
	m := newMachine(t)
	m.Plug(discovertest.Gamepad())
	m.Plug(discovertest.Keyboard())
	m.start("", "", "auto")
	require.Equal(t, []string{"Dual Action"}, m.redirected())
	uart := m.Plug(discovertest.FTDI("A1"))
	for _, d := range []discovertest.USB{
		discovertest.Mouse(), discovertest.Stick(), discovertest.Hub(""), discovertest.CardReader(),
		discovertest.Webcam(), discovertest.Network(), discovertest.Unknown(),
	} {
		m.Plug(d)
	}
	require.Len(t, m.redirected(), 2)
	uart.Unplug()
	require.Equal(t, []string{"Dual Action"}, m.redirected())
	m.Plug(discovertest.Camera())
	require.Equal(t, []string{"Canon Digital Camera", "Dual Action"}, m.redirected())
	require.Contains(t, m.log.String(), "device is redirected")
}

// TestAdminDenies: a device that the administrator denies is never announced,
// whatever the user says.
func TestAdminDenies(t *testing.T) {
	for name, words := range map[string][]string{
		"auto":        {"auto"},
		"vendor":      {"usb:046d:c216", "auto"},
		"rule":        {"rule:allow+vid=046d", "auto"},
		"everything":  {"rule:allow"},
		"description": {"usb:046d:c216", "name:Other", "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.Plug(discovertest.Gamepad())
			m.start("[[rule]]\naction = \"deny\"\nvid = \"046d\"\n", "auto = true\n[[rule]]\naction = \"allow\"\nvid = \"046d\"\n", words...)
			m.Plug(discovertest.Gamepad())
			require.Empty(t, m.redirected())
		})
	}
}

// TestAdminDeniesPaths: neither is a node that the user names by its path, by
// whatever name and description.
func TestAdminDeniesPaths(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	node := m.Plug(discovertest.FTDI("A1")).Nodes[0]
	dir := t.TempDir()
	link, alias := filepath.Join(dir, "link"), filepath.Join(dir, "alias")
	require.NoError(t, os.Symlink(node, link))
	id, err := devnode.Identify(node)
	require.NoError(t, err)
	require.NoError(t, unix.Mknod(alias, unix.S_IFCHR|0o600, int(id.Rdev)))
	var words []string
	for _, kind := range []string{"char", "serial", "hid"} {
		for _, path := range []string{node, link, alias} {
			words = append(words, kind+":"+path, `hwid:USB\VID_9999`, "name:evaded")
		}
	}
	m.start("[[rule]]\naction = \"deny\"\nvid = \"0403\"\n", "", append(words, "auto")...)
	require.Empty(t, m.redirected())
	require.Equal(t, 9, strings.Count(m.log.String(), `err="the administrator denies it`))
}

// TestAdminDeniesByDefault: an id that the user gives a device is not the
// device's.
func TestAdminDeniesByDefault(t *testing.T) {
	_, pty := devtest.OpenPTY(t)
	m := newMachine(t)
	m.start("default = \"deny\"\n[[rule]]\naction = \"allow\"\nhardware-id = 'USB\\VID_0403*'\n[[rule]]\naction = \"allow\"\nvid = \"0001\"\n",
		"", "char:"+pty, `hwid:USB\VID_0403&PID_6001`, "auto")
	require.Empty(t, m.redirected())
}

// TestOwnDeny: what the user's own rules deny before it is named is not
// redirected either.
func TestOwnDeny(t *testing.T) {
	_, pty := devtest.OpenPTY(t)
	m := newMachine(t)
	m.start("", "", "rule:deny+node="+pty, "serial:"+pty, "name:Meter", "auto")
	require.Empty(t, m.redirected())
	require.Contains(t, m.log.String(), "it is denied: option rule:deny+node="+pty)
}

// TestNamedIsNotFoundTwice: a device that is named by its path is announced
// once, with what the option says of it, also if the path appears later.
func TestNamedIsNotFoundTwice(t *testing.T) {
	for _, late := range []bool{false, true} {
		m := newMachine(t)
		m.RealNodes()
		node := m.Plug(discovertest.FTDI("A1")).Nodes[0]
		link := filepath.Join(t.TempDir(), "link")
		if !late {
			require.NoError(t, os.Symlink(node, link))
		}
		m.start("", "", "serial:"+link, "name:Meter", "auto")
		if late {
			require.Len(t, m.redirected(), 1)
			require.NoError(t, os.Symlink(node, link))
			for m.event() != "+Meter" {
			}
		}
		require.Equal(t, []string{"Meter"}, m.redirected())
		// Without the name the device is one that is found.
		require.NoError(t, os.Remove(link))
		for m.event() != "+FT232R USB UART" {
		}
		require.Equal(t, []string{"FT232R USB UART"}, m.redirected())
	}
}

// TestDeviceLimits: what the user says of one device bounds that one.
func TestDeviceLimits(t *testing.T) {
	m := newMachine(t)
	m.start("", "", "loopback", "name:Small", "handles:1", "reply:16", "loopback")
	read := map[string]int{}
	for range 2 {
		m.event()
	}
	for _, d := range m.remote.Devices() {
		h, err := d.Open(context.Background(), server.OpenOptions{})
		require.NoError(t, err)
		read[d.Description().Name], err = h.ReadAt(context.Background(), make([]byte, 100), 0)
		require.NoError(t, err)
		_, err = d.Open(context.Background(), server.OpenOptions{})
		if d.Description().Name == "Small" {
			require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, pnp.HRESULTOf(err))
		} else {
			require.NoError(t, err)
		}
	}
	require.Equal(t, map[string]int{"Small": 16, loopback.DefaultDescription().Name: 100}, read)
}

// TestExcessInOrder checks that room is given to devices in a fixed order.
func TestExcessInOrder(t *testing.T) {
	m := newMachine(t)
	var plugged []*discovertest.Plugged
	for i := range 6 {
		d := discovertest.FTDI(fmt.Sprint("S", i))
		d.Product = d.Serial
		plugged = append(plugged, m.Plug(d))
	}
	m.start("", "", "auto", "max-devices:1")
	require.Equal(t, "+S0", m.event())
	for i, p := range plugged[:5] {
		p.Unplug()
		require.Equal(t, fmt.Sprint("-S", i), m.event())
		require.Equal(t, fmt.Sprint("+S", i+1), m.event())
	}
}

// TestExcess checks that a device is redirected once there is room for it.
func TestExcess(t *testing.T) {
	m := newMachine(t)
	var plugged []*discovertest.Plugged
	for i := range 4 {
		plugged = append(plugged, m.Plug(discovertest.FTDI(fmt.Sprint("S", i))))
	}
	m.start("", "", "auto", "max-devices:2")
	for range 2 {
		require.Equal(t, "+", m.event()[:1])
	}
	require.Contains(t, m.log.String(), "a limit of this session is reached")
	for range 2 {
		key := ""
		m.s.mu.Lock()
		for key = range m.s.found {
		}
		m.s.mu.Unlock()
		at := slices.IndexFunc(plugged, func(p *discovertest.Plugged) bool { return p.Keys[0] == key })
		plugged[at].Unplug()
		require.Equal(t, "-", m.event()[:1])
		require.Equal(t, "+", m.event()[:1])
		require.Len(t, m.remote.Devices(), 2)
	}
}

// TestJudgedAgain makes a block device lead to another one after it was
// redirected, as a loop device or a volume does that is set up anew.
func TestJudgedAgain(t *testing.T) {
	for rule, why := range map[string]string{
		`action = "deny"`:                      "the administrator denies it",
		"action = \"allow\"\nread-only = true": "the rules now say something else",
	} {
		t.Run(why, func(t *testing.T) {
			m := newMachine(t)
			m.RealNodes()
			stick := m.Plug(discovertest.Stick())
			sda := stick.Key + "/" + filepath.Base(stick.Key) + ":1.0/host6/target6:0:0/6:0:0:0/block/sda"
			m.AddNode(sda, "block", "sda", true)
			image := filepath.Join(t.TempDir(), "image")
			require.NoError(t, os.WriteFile(image, make([]byte, 1<<16), 0o600))
			disk := devtest.LoopDevice(t, image)
			id, err := devnode.Identify(disk)
			require.NoError(t, err)
			key := "devices/virtual/block/" + filepath.Base(disk)
			require.NoError(t, os.MkdirAll(filepath.Join(m.Sys, key), 0o755))
			number := fmt.Sprintf("%d:%d", unix.Major(id.Rdev), unix.Minor(id.Rdev))
			require.NoError(t, os.Symlink(filepath.Join(m.Sys, key), filepath.Join(m.Sys, "dev/block", number)))

			m.start("[[rule]]\nclass = \"08\"\n"+rule, "", "file:"+disk, "name:Disk")
			require.Equal(t, "+Disk", m.event())
			open := func() error {
				h, err := m.remote.Devices()[0].Open(context.Background(), server.OpenOptions{})
				if err == nil {
					h.Close()
				}
				return err
			}
			require.NoError(t, open())
			m.Stack(key, sda)
			require.Equal(t, pnp.ERROR_ACCESS_DENIED, pnp.HRESULTOf(open()))
			require.Contains(t, m.log.String(), `msg="device is not opened" option=file:`+disk+` err="`+why)
		})
	}
}

// TestReplaced: a device that is named, and whose node is made anew, is never
// offered otherwise in between.
func TestReplaced(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	node := m.Plug(discovertest.FTDI("A1")).Nodes[0]
	id, err := devnode.Identify(node)
	require.NoError(t, err)
	m.start("", "", "char:"+node, "name:Meter", "ro", "auto")
	require.Equal(t, "+Meter", m.event())
	for range 10 {
		require.NoError(t, unix.Mknod(node+".new", unix.S_IFCHR|0o600, int(id.Rdev)))
		require.NoError(t, os.Rename(node+".new", node))
		require.Equal(t, "-Meter", m.event())
		require.Equal(t, "+Meter", m.event())
	}
	require.Equal(t, []string{"Meter"}, m.redirected())
	require.NotRegexp(t, `device is redirected[^\n]*FT232R`, m.log.String())
	require.NotContains(t, m.log.String(), "level=WARN")
}

// TestHungRules has the file with the rules lie on a file system that does not
// answer, for a while and for ever: what needs no rules is there, the rest comes
// once they are known, and the session can end.
func TestHungRules(t *testing.T) {
	for _, answers := range []bool{true, false} {
		reads := make(chan *fusetest.Request, 16)
		fs := fusetest.Mount(t, func(r *fusetest.Request) {
			switch r.Op {
			case fusetest.Open:
				r.Opened(fusetest.DirectIO)
			case fusetest.Read:
				reads <- r
			}
		})
		m := newMachine(t)
		m.hung, m.startWait = !answers, time.Millisecond
		m.Plug(discovertest.Gamepad())
		m.startWith(rules.Files{User: fs.Path}, "loopback", "name:Memory", "rule:deny+vid=1234")
		require.Equal(t, "+Memory", m.event())
		require.Contains(t, m.log.String(), "the rules cannot be read yet")
		require.Len(t, m.remote.Devices(), 1)
		if answers {
			(<-reads).Gives([]byte("auto = true\n"))
			(<-reads).Gives(nil)
			require.Equal(t, "+Dual Action", m.event())
		}
	}
}

// TestFiftyCycles of plugging and unplugging leave nothing behind; the fixture
// and TestMain count.
func TestFiftyCycles(t *testing.T) {
	m := newMachine(t)
	m.start("", "", "auto")
	seen := map[uint32]bool{}
	for range 50 {
		p := m.Plug(discovertest.FTDI("A1"))
		require.Equal(t, "+", m.event()[:1])
		id := m.remote.Devices()[0].ID()
		require.False(t, seen[id], "an id was given twice")
		seen[id] = true
		p.Unplug()
		require.Equal(t, "-", m.event()[:1])
	}
	require.Empty(t, m.remote.Devices())
}

// TestTwoHundredDevices are found and announced, each once.
func TestTwoHundredDevices(t *testing.T) {
	m := newMachine(t)
	for i := range 200 {
		m.PlugUnseen(discovertest.FTDI(fmt.Sprint("S", i)))
	}
	m.start("", "", "auto")
	for range 200 {
		require.Equal(t, "+", m.event()[:1])
	}
	require.Len(t, m.remote.Devices(), 200)
}

// BenchmarkPlug is the time from the kernel's message to the announcement at the
// server's end, and from the removal to its news.
func BenchmarkPlug(b *testing.B) {
	m := newMachine(b)
	m.start("", "", "auto")
	for range b.N {
		p := m.Plug(discovertest.FTDI("A1"))
		<-m.come
		p.Unplug()
		<-m.come
	}
}

// BenchmarkTwoHundredDevices is the time to find 200 devices and announce them.
func BenchmarkTwoHundredDevices(b *testing.B) {
	for range b.N {
		b.StopTimer()
		m := newMachine(b)
		for i := range 200 {
			m.PlugUnseen(discovertest.FTDI(fmt.Sprint("S", i)))
		}
		b.StartTimer()
		m.start("", "", "auto")
		for range 200 {
			<-m.come
		}
	}
}

// TestBrokenFile: the log says what is wrong with a file of rules, and what that
// leads to.
func TestBrokenFile(t *testing.T) {
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "admin.toml")
	require.NoError(t, os.WriteFile(file, []byte("defualt = \"deny\"\nx = 1\n"), 0o600))
	m.startWith(rules.Files{Admin: file}, "auto")
	<-m.s.started
	require.Contains(t, m.log.String(), file+":1:1: there is no")
	require.Equal(t, 1, strings.Count(m.log.String(), file+": until this is corrected, it denies every device that reaches it"))
}
