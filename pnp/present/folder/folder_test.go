// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain is a table of one kind.
var plain = present.Table{{Name: "plain", Serves: func(*pnp.Description) bool { return true }}}

func loop(name string) *loopback.Device {
	return loopback.New(pnp.Description{Name: name, HardwareIDs: []string{`WUDF\LB`}})
}

// newFolder makes a Folder in a folder that does not exist yet.
func newFolder(t *testing.T, cfg Config) *Folder {
	t.Helper()
	if cfg.Table == nil {
		cfg.Table = plain
	}
	if cfg.Log == nil {
		cfg.Log = presenttest.Log(t)
	}
	f, err := New(filepath.Join(t.TempDir(), "pnpdr"), cfg)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

func pair(t *testing.T, f *Folder, devices ...pnp.Device) *presenttest.Pair {
	return presenttest.NewPair(t, server.Config{OnDevice: f.OnDevice, Limits: Limits, Log: presenttest.Log(t)}, devices...)
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, presenttest.Patience, time.Millisecond, what)
}

// waitFor waits until these folders are complete, and no others are there.
func waitFor(t *testing.T, f *Folder, names ...string) {
	t.Helper()
	eventually(t, func() bool {
		entries, err := os.ReadDir(f.Dir())
		if err != nil {
			return false
		}
		have := make(map[string]bool)
		for _, e := range entries {
			if e.IsDir() && e.Name() != filesName {
				_, err := os.Stat(filepath.Join(f.Dir(), e.Name(), infoName))
				have[e.Name()] = err == nil
			}
		}
		for _, name := range names {
			if !have[name] {
				return false
			}
		}
		return len(have) == len(names)
	}, fmt.Sprint("folders ", names))
}

// filesOf are the names in the folder of each device, and those of its presenter's.
func filesOf(f *Folder, more ...string) []string {
	list := []string{"control"}
	if f.files != nil {
		list = append(list, "data", "events")
	}
	return append(list, more...)
}

func TestFolder(t *testing.T) {
	image := filepath.Join(t.TempDir(), "card.img")
	require.NoError(t, os.WriteFile(image, make([]byte, 100), 0o600))
	caps := pnp.PNP_DEVCAPS_REMOVABLE
	card, err := file.New(backend.Source{Path: image, Description: pnp.Description{
		Name: "card: 1", HardwareIDs: []string{`PNPDR\FILE`}, CompatibleIDs: []string{"X"},
		Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_WPD}, Container: pnp.NewContainer("x"), Caps: &caps,
	}})
	require.NoError(t, err)
	f := newFolder(t, Config{})
	p := pair(t, f, loop("Scale"), card)
	waitFor(t, f, "Scale", "card_1")

	for path, mode := range map[string]os.FileMode{
		"": os.ModeDir | 0o700, "card_1": os.ModeDir | 0o700, "card_1/info.json": 0o600, "card_1/control": os.ModeSocket | 0o600,
	} {
		st, err := os.Stat(filepath.Join(f.Dir(), path))
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode(), path)
	}
	text, err := os.ReadFile(filepath.Join(f.Dir(), "card_1", "info.json"))
	require.NoError(t, err)
	require.JSONEq(t, `{"name": "card: 1", "kind": "plain", "id": 2,
		"hardware_ids": ["PNPDR\\FILE"], "compatible_ids": ["X"],
		"interfaces": ["{6AC27878-A6FA-4155-BA85-F98F491D4F33}"], "container": "`+pnp.NewContainer("x").String()+`",
		"capabilities": ["removable"]}`, string(text))

	list := f.Devices()
	require.Len(t, list, 2)
	require.Equal(t, []string{"Scale", "card_1"}, []string{list[0].Folder, list[1].Folder})
	require.Equal(t, filesOf(f), list[0].Files)
	var info Info
	require.NoError(t, json.Unmarshal(text, &info))
	require.Equal(t, info, list[1].Info)

	p.Client.Remove(1)
	waitFor(t, f, "card_1")
	p.Add(loop("Scale"))
	waitFor(t, f, "card_1", "Scale")
	p.Close()
	waitFor(t, f)
	require.Empty(t, f.Devices())

	// The next client has them at once.
	pair(t, f, card, loop("Scale"))
	waitFor(t, f, "card_1", "Scale")
	f.Close()
	entries, err := os.ReadDir(f.Dir())
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, lockName, entries[0].Name())
}

func TestRemove(t *testing.T) {
	f := newFolder(t, Config{})
	pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	f.Remove()
	require.NoDirExists(t, f.Dir())
}

// TestAlike: devices that have the same name have numbers. Whatever its order, the one
// that returns has the same name.
func TestAlike(t *testing.T) {
	f := newFolder(t, Config{})
	other := loopback.New(pnp.Description{Name: "Scale", HardwareIDs: []string{"OTHER"}})
	p := pair(t, f, loop("Scale"), other, loop("Scale"))
	waitFor(t, f, "Scale", "Scale-2", "Scale-3")
	p.Client.Remove(1)
	p.Client.Remove(2)
	waitFor(t, f, "Scale-3")
	id := p.Add(other)
	waitFor(t, f, "Scale-3", "Scale-2")
	require.Equal(t, id, f.Devices()[1].ID)
}

func TestChoices(t *testing.T) {
	second := &present.Kind{Name: "second", Serves: func(*pnp.Description) bool { return true }}
	f := newFolder(t, Config{
		Table:  present.Table{plain[0], second},
		Wanted: func(d *pnp.Description) bool { return d.Name != "Secret" },
		As: func(d *pnp.Description) *present.Kind {
			if d.Name == "Odd" {
				return second
			}
			return nil
		},
	})
	pair(t, f, loop("Secret"), loop("Odd"), loop("Usual"))
	waitFor(t, f, "Odd", "Usual")
	list := f.Devices()
	require.Equal(t, []string{"second", "plain"}, []string{list[0].Kind, list[1].Kind})
}

// made is a Presentation.
type made struct{ closed chan struct{} }

func (m made) Close() { close(m.closed) }

// TestPresenters: one that works, one that fails, one that panics, and one that takes
// until the device goes. The folder is there in each case.
func TestPresenters(t *testing.T) {
	m := made{make(chan struct{})}
	hanging := make(chan struct{})
	kind := func(name string, f func(ctx context.Context, d *present.Device) (present.Presentation, error)) *present.Kind {
		return &present.Kind{Name: name, Serves: func(d *pnp.Description) bool { return d.Name == name }, Present: f}
	}
	f := newFolder(t, Config{Table: present.Table{
		kind("works", func(_ context.Context, d *present.Device) (present.Presentation, error) {
			return m, os.Symlink("/dev/null", filepath.Join(d.Dir, "tty"))
		}),
		kind("fails", func(context.Context, *present.Device) (present.Presentation, error) { return nil, errors.New("no") }),
		kind("panics", func(context.Context, *present.Device) (present.Presentation, error) { panic("oh") }),
		kind("hangs", func(ctx context.Context, _ *present.Device) (present.Presentation, error) {
			<-ctx.Done()
			close(hanging)
			return nil, ctx.Err()
		}),
	}})
	p := pair(t, f, loop("works"), loop("fails"), loop("panics"), loop("hangs"), loop("not served"))
	waitFor(t, f, "works", "fails", "panics", "hangs")
	all := filesOf(f, "tty")
	eventually(t, func() bool { return len(f.Devices()[0].Files) == len(all) }, "a link")
	require.Equal(t, all, f.Devices()[0].Files)
	problem := func(i int) string { return f.Devices()[i].Problem }
	without := "" // what all lack
	if f.noFiles != nil {
		without = f.noFiles.Error() + "; "
	}
	eventually(t, func() bool { return problem(1) == without+"no" }, "a problem")
	eventually(t, func() bool { return problem(2) == without+"panic in the presenter of panics: oh" }, "another one")
	require.Equal(t, strings.TrimSuffix(without, "; "), problem(0))
	p.Client.Remove(4)
	servertest.Wait(t, "the one that hangs", hanging)
	select {
	case <-m.closed:
		t.Error("the device is there, and its presentation is closed")
	default:
	}
	// Its presenter forgets the link.
	p.Client.Remove(1)
	servertest.Wait(t, "Close", m.closed)
	require.NoError(t, os.Remove(filepath.Join(f.Dir(), "works", "tty")))
}

// TestFilesOfTheUser are left alone, and the device can return.
func TestFilesOfTheUser(t *testing.T) {
	f := newFolder(t, Config{})
	p := pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	mine := filepath.Join(f.Dir(), "Scale", "label.zpl")
	require.NoError(t, os.WriteFile(mine, nil, 0o600))
	p.Client.Remove(1)
	eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.entries) == 0
	}, "removal")
	require.FileExists(t, mine)
	p.Add(loop("Scale"))
	waitFor(t, f, "Scale")
	f.Close()
	again, err := New(f.Dir(), Config{})
	require.NoError(t, err)
	defer again.Close()
	require.FileExists(t, mine)
	require.NoFileExists(t, filepath.Join(f.Dir(), "Scale", "info.json"))
}

// TestFileInThePlaceOfADevice: a file or a link of the user's that has the name of a device
// stays. The device is not presented.
func TestFileInThePlaceOfADevice(t *testing.T) {
	f := newFolder(t, Config{})
	file, link := filepath.Join(f.Dir(), "Scale"), filepath.Join(f.Dir(), "Meter")
	elsewhere := t.TempDir()
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	require.NoError(t, os.Symlink(elsewhere, link))
	p := pair(t, f, loop("Scale"), loop("Meter"), loop("Another"))
	waitFor(t, f, "Another")
	p.Close()
	waitFor(t, f)
	require.FileExists(t, file)
	_, err := os.Lstat(link)
	require.NoError(t, err)
	entries, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestFilesInTheWay: a file of the user's where one of the device's would be costs the device
// that one, and the status says so.
func TestFilesInTheWay(t *testing.T) {
	f := newFolder(t, Config{})
	dir := filepath.Join(f.Dir(), "Scale")
	require.NoError(t, os.Mkdir(dir, 0o700))
	mine := filepath.Join(dir, "control")
	if f.files != nil {
		mine = filepath.Join(dir, "data")
	}
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
	p := pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	require.Contains(t, f.Devices()[0].Problem, mine)
	require.Equal(t, filesOf(f), f.Devices()[0].Files)
	if f.files != nil {
		c := dial(t, filepath.Join(dir, "control"))
		c.send(requestIOControl, 1, loopback.IOCTL_ECHO, 2, "ab")
		c.want(1, pnp.S_OK, "ab")
	}
	p.Client.Remove(1)
	eventually(t, func() bool { return !exists(filepath.Join(dir, infoName)) }, "the device's files go")
	text, err := os.ReadFile(mine)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
}

// TestWithoutFUSE: the status of each device says what it lacks, and why.
func TestWithoutFUSE(t *testing.T) {
	f := newFolder(t, Config{})
	if f.files != nil {
		require.NoError(t, f.files.Close())
		f.files, f.noFiles = nil, errors.New("no files data and events: there is no FUSE")
	}
	pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	require.Equal(t, []string{"control"}, f.Devices()[0].Files)
	require.Equal(t, f.noFiles.Error(), f.Devices()[0].Problem)
}

// TestFlood: a client that announces and removes devices as fast as it can, with hostile
// names. Nothing is left of them, and its last device is presented.
func TestFlood(t *testing.T) {
	f := newFolder(t, Config{})
	s := servertest.Started(t, server.Config{OnDevice: f.OnDevice, Limits: Limits})
	const n = 3000
	for i := range uint32(n) {
		d := wire.NewDeviceDescription(i, &pnp.Description{Name: fmt.Sprintf("../%d\u202e\x00/%s", i%7, strings.Repeat("é", int(i%500)))})
		require.NoError(t, s.Info.Inject(servertest.Addition(d)))
		if i >= maxDevices-1 {
			require.NoError(t, s.Info.Inject(servertest.Removal(i-maxDevices+1)))
		}
	}
	eventually(t, func() bool {
		list := f.Devices()
		return len(list) > 0 && list[len(list)-1].ID == n-1
	}, "the last device")
	f.mu.Lock()
	require.LessOrEqual(t, f.names.order.Len(), maxKnown)
	f.mu.Unlock()
	s.Close()
	waitFor(t, f)
}

// TestFiles: programs use the data and hear of the events of a device that is there.
func TestFiles(t *testing.T) {
	f := newFolder(t, Config{})
	if f.files == nil {
		t.Skip("there is no FUSE here; the log says why")
	}
	p := pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	// Not this process: it serves the files.
	run := func(script string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = filepath.Join(f.Dir(), "Scale")
		return cmd
	}
	require.NoError(t, run("printf hello >data").Run())
	out, err := run("head -c 5 data").Output()
	require.NoError(t, err)
	require.Equal(t, "hello", string(out))
	require.Equal(t, uint64(2), f.Devices()[0].Opened)

	reader := run("head -n 1 events")
	var line bytes.Buffer
	reader.Stdout = &line
	require.NoError(t, reader.Start())
	// Not Open: the handle of head may still be among those.
	eventually(t, func() bool { return f.Devices()[0].Opened == 3 }, "open")
	c := dial(t, filepath.Join(f.Dir(), "Scale", "control"))
	guid := pnp.GUID_DEVINTERFACE_HID
	c.send(requestIOControl, 1, loopback.IOCTL_RAISE_EVENT, 0, string(guid[:])+"\x01\xff")
	c.want(1, pnp.S_OK, "")
	require.NoError(t, reader.Wait())
	var ev Event
	require.NoError(t, json.Unmarshal(line.Bytes(), &ev))
	require.Equal(t, Event{ev.Time, guid.String(), "01ff"}, ev)
	require.WithinDuration(t, time.Now(), ev.Time, presenttest.Patience)

	// Whoever waits for an event sees the end, or an error, when the device goes.
	waiting := run("cat events")
	require.NoError(t, waiting.Start())
	eventually(t, func() bool { return f.Devices()[0].Opened == 5 }, "open again")
	p.Client.Remove(1)
	_ = waiting.Wait()
	waitFor(t, f)
}

// TestDescriptors: none is left of a Folder, whatever its devices were used for.
func TestDescriptors(t *testing.T) {
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(list)
	}
	use := func() {
		f, err := New(filepath.Join(t.TempDir(), "pnpdr"), Config{Table: plain, Log: presenttest.Log(t)})
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, f.Publish(func() (time.Time, string) { return time.Time{}, "" }))
		p := pair(t, f)
		for i := range 20 {
			p.Add(loop(fmt.Sprint("Scale ", i)))
		}
		eventually(t, func() bool { return len(f.Devices()) == 20 }, "devices")
		for i := range 20 {
			dir := filepath.Join(f.Dir(), fmt.Sprint("Scale_", i))
			eventually(t, func() bool { return exists(filepath.Join(dir, infoName)) }, dir)
			c := dial(t, filepath.Join(dir, controlName))
			c.send(requestIOControl, 1, loopback.IOCTL_WAIT, 0, "\xff\xff\xff\xff")
			c.send(requestEvents, 2, 0, 0, "")
			c.want(2, pnp.S_OK, "")
			defer c.conn.Close()
		}
		f.Close()
		p.Close()
	}
	use() // the runtime opens some for itself
	before := count()
	use()
	eventually(t, func() bool { return count() <= before }, "descriptors")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestLongPath: a folder whose path is too long for a socket works all the same.
func TestLongPath(t *testing.T) {
	f, err := New(filepath.Join(t.TempDir(), strings.Repeat("x", 200)), Config{Table: plain})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	c := dial(t, filepath.Join(f.Dir(), "Scale", "control"))
	c.send(requestIOControl, 1, loopback.IOCTL_ECHO, 2, "ab")
	c.want(1, pnp.S_OK, "ab")
}
