// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

type change struct {
	path    string
	present bool
}

// recorder is a watcher whose notifications the test takes one by one.
type recorder struct {
	t *testing.T
	*Watcher
	changes chan change
}

// watch starts watching and takes the initial states, which it checks.
func watch(t *testing.T, initial bool, paths ...string) *recorder {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	r := &recorder{t: t, changes: make(chan change, 1000)}
	w, err := New(paths, func(path string, present bool) { r.changes <- change{path, present} }, nil)
	require.NoError(t, err)
	r.Watcher = w
	t.Cleanup(func() {
		w.Close()
		w.Close()
		goleak.VerifyNone(t, ignore)
	})
	require.Len(t, r.changes, len(paths), "initial states come before New returns")
	for _, p := range paths {
		require.Equal(t, change{p, initial}, <-r.changes)
	}
	return r
}

func (r *recorder) next() change {
	r.t.Helper()
	select {
	case c := <-r.changes:
		return c
	case <-time.After(time.Minute):
		stacks := make([]byte, 1<<16)
		r.t.Fatalf("no change was reported\n%s", stacks[:runtime.Stack(stacks, true)])
		return change{}
	}
}

func (r *recorder) gets(path string, states ...bool) {
	r.t.Helper()
	for _, s := range states {
		require.Equal(r.t, change{path, s}, r.next())
	}
}

// quiet checks that nothing was reported before a change that it makes.
func (r *recorder) quiet(marker string) {
	r.t.Helper()
	create(r.t, marker)
	r.gets(marker, true)
	remove(r.t, marker)
	r.gets(marker, false)
	require.Empty(r.t, r.changes)
}

func create(t *testing.T, path string) {
	t.Helper()
	// In one step: it never exists without its permissions.
	require.NoError(t, unix.Mknod(path, unix.S_IFREG|0o644, 0))
}

func remove(t *testing.T, path string) { t.Helper(); require.NoError(t, os.RemoveAll(path)) }
func mkdir(t *testing.T, path string)  { t.Helper(); require.NoError(t, os.MkdirAll(path, 0o755)) }
func rename(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(from, to))
}
func symlink(t *testing.T, target, link string) {
	t.Helper()
	require.NoError(t, os.Symlink(target, link))
}

func TestComesAndGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	r := watch(t, false, path)
	for range 20 {
		create(t, path)
		r.gets(path, true)
		remove(t, path)
		r.gets(path, false)
	}
}

func TestInitiallyPresent(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	create(t, a)
	create(t, b)
	require.True(t, Present(a))
	r := watch(t, true, b, a)
	remove(t, a)
	r.gets(a, false)
	require.False(t, Present(a))
	remove(t, b)
	r.gets(b, false)
}

func TestOthersDoNotMatter(t *testing.T) {
	dir := t.TempDir()
	path, marker := filepath.Join(dir, "node"), filepath.Join(dir, "marker")
	create(t, path)
	create(t, marker)
	r := watch(t, true, path, marker)
	remove(t, marker)
	r.gets(marker, false)
	for i := range 100 {
		other := filepath.Join(dir, fmt.Sprint(i))
		create(t, other)
		rename(t, other, other+"x")
		remove(t, other+"x")
		require.NoError(t, os.WriteFile(path, []byte("written"), 0o600))
		require.NoError(t, os.Chmod(path, 0o600+os.FileMode(i%2)*4))
	}
	r.quiet(marker)
}

func TestDirectoryIsNotADevice(t *testing.T) {
	dir := t.TempDir()
	path, marker := filepath.Join(dir, "node"), filepath.Join(dir, "marker")
	mkdir(t, path)
	require.False(t, Present(path))
	r := watch(t, false, path, marker)
	r.quiet(marker)
	remove(t, path)
	create(t, path)
	r.gets(path, true)
}

func TestParentsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "serial", "by-id", "usb-node")
	r := watch(t, false, path)
	for range 20 {
		mkdir(t, filepath.Dir(path))
		create(t, path)
		r.gets(path, true)
		remove(t, filepath.Join(dir, "serial"))
		r.gets(path, false)
	}
	// By renaming, at each level.
	mkdir(t, filepath.Dir(path))
	create(t, path)
	r.gets(path, true)
	for _, at := range []string{filepath.Dir(path), filepath.Join(dir, "serial")} {
		rename(t, at, at+"-away")
		r.gets(path, false)
		rename(t, at+"-away", at)
		r.gets(path, true)
	}
	// Another tree under the same name.
	rename(t, filepath.Join(dir, "serial"), filepath.Join(dir, "old"))
	r.gets(path, false)
	mkdir(t, filepath.Dir(path))
	create(t, path)
	r.gets(path, true)
	remove(t, filepath.Join(dir, "old"))
	remove(t, path)
	r.gets(path, false)
	require.Empty(t, r.changes)
}

func TestRelativePathAndPathThroughFile(t *testing.T) {
	dir := t.TempDir()
	before, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Chdir(dir))
	defer func() { require.NoError(t, os.Chdir(before)) }()
	create(t, filepath.Join(dir, "file"))
	r := watch(t, false, "sub/../node", "file/node")
	create(t, "node")
	r.gets("sub/../node", true)
	remove(t, "file")
	mkdir(t, "file")
	create(t, "file/node")
	r.gets("file/node", true)
}

func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "node"), filepath.Join(dir, "other")
	create(t, path)
	r := watch(t, true, path)
	for range 10 {
		create(t, other)
		rename(t, other, path)
		r.gets(path, false, true)
	}
	// Removed and made again, which reuses the inode number.
	for range 10 {
		// The clock of the file system is coarse, and a node that is younger
		// than its tick cannot be told from its successor.
		time.Sleep(20 * time.Millisecond)
		remove(t, path)
		create(t, path)
		r.gets(path, false, true)
	}
}

func TestSymlinks(t *testing.T) {
	dir := t.TempDir()
	links, targets := filepath.Join(dir, "by-id"), filepath.Join(dir, "dev", "bus")
	mkdir(t, links)
	path := filepath.Join(links, "node")
	target := filepath.Join(targets, "ttyUSB0")
	r := watch(t, false, path)

	symlink(t, "../middle", path) // dangling, through a directory that is missing
	symlink(t, target, filepath.Join(dir, "middle"))
	mkdir(t, targets)
	create(t, target)
	r.gets(path, true)
	remove(t, filepath.Join(dir, "dev"))
	r.gets(path, false)
	mkdir(t, targets)
	create(t, target)
	r.gets(path, true)
	remove(t, filepath.Join(dir, "middle"))
	r.gets(path, false)
	symlink(t, "dev/bus/../bus/ttyUSB0", filepath.Join(dir, "middle"))
	r.gets(path, true)

	// The link points elsewhere.
	create(t, filepath.Join(targets, "ttyUSB1"))
	symlink(t, filepath.Join(targets, "ttyUSB1"), filepath.Join(links, "new"))
	rename(t, filepath.Join(links, "new"), path)
	r.gets(path, false, true)
	remove(t, target)
	remove(t, filepath.Join(targets, "ttyUSB1"))
	r.gets(path, false)

	// A loop, which is then repaired.
	symlink(t, path, filepath.Join(targets, "ttyUSB1"))
	remove(t, filepath.Join(targets, "ttyUSB1"))
	create(t, filepath.Join(targets, "ttyUSB1"))
	r.gets(path, true)
}

// TestTerminal checks that a terminal's node vanishes when its master is closed,
// although a slave is still open.
func TestTerminal(t *testing.T) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	require.NoError(t, err)
	path := fmt.Sprintf("/dev/pts/%d", number)
	link := filepath.Join(t.TempDir(), "tty")
	symlink(t, path, link)
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(slave)
	r := watch(t, true, link)
	for range 100 {
		_, err := unix.Write(slave, []byte("x"))
		require.NoError(t, err)
	}
	unix.Close(master)
	r.gets(link, false)
}

// TestPermissionsComeLate needs a user who may not open everything: root runs it
// again as another user.
func TestPermissionsComeLate(t *testing.T) {
	const dirVariable = "PNP_WATCH_TEST_DIR"
	if os.Getuid() == 0 {
		dir, err := os.MkdirTemp("", "pnpwatch")
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		require.NoError(t, os.Chmod(dir, 0o777))
		binary, err := os.ReadFile("/proc/self/exe")
		require.NoError(t, err)
		copied := filepath.Join(dir, "watch.test")
		require.NoError(t, os.WriteFile(copied, binary, 0o755))
		cmd := exec.Command(copied, "-test.run=^TestPermissionsComeLate$", "-test.v")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), dirVariable+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	dir := os.Getenv(dirVariable)
	if dir == "" {
		dir = t.TempDir()
	}
	path, marker := filepath.Join(dir, "node"), filepath.Join(dir, "marker")
	r := watch(t, false, path, marker)
	require.NoError(t, unix.Mknod(path, unix.S_IFREG, 0))
	r.quiet(marker)
	require.False(t, Present(path))
	for _, mode := range []os.FileMode{0o400, 0o200, 0o600} {
		require.NoError(t, os.Chmod(path, mode))
		r.gets(path, true)
		require.NoError(t, os.Chmod(path, 0))
		r.gets(path, false)
	}
	// The same for a directory on the way.
	sub := filepath.Join(dir, "sub")
	mkdir(t, sub)
	inner := filepath.Join(sub, "node")
	create(t, inner)
	r = watch(t, true, inner)
	require.NoError(t, os.Chmod(sub, 0))
	r.gets(inner, false)
	require.NoError(t, os.Chmod(sub, 0o755))
	r.gets(inner, true)
}

// TestOverflow makes more events than inotify queues, while nobody reads them.
func TestOverflow(t *testing.T) {
	limit := 16384
	if b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events"); err == nil {
		_, _ = fmt.Sscan(string(b), &limit)
	}
	if limit > 100_000 {
		t.Skipf("this system keeps %d events, too many to overflow", limit)
	}
	dir := t.TempDir()
	path, gone := filepath.Join(dir, "node"), filepath.Join(dir, "gone")
	create(t, gone)
	hold, held := make(chan struct{}), make(chan struct{})
	changes := make(chan change, 100)
	first := true
	w, err := New([]string{path, gone}, func(p string, present bool) {
		if p == path && present && first {
			first = false
			close(held)
			<-hold
		}
		changes <- change{p, present}
	}, nil)
	require.NoError(t, err)
	defer w.Close()
	create(t, path)
	<-held
	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	second := filepath.Join(dir, "second")
	require.NoError(t, os.WriteFile(second, nil, 0o600))
	for range limit { // two different ones, which the kernel does not merge
		require.NoError(t, os.Chmod(other, 0o600))
		require.NoError(t, os.Chmod(second, 0o600))
	}
	remove(t, gone)
	remove(t, path)
	create(t, path)
	close(hold)
	r := &recorder{t: t, changes: changes}
	r.gets(path, false)
	r.gets(gone, true)
	r.gets(path, true) // what held the watcher up
	got := map[change]int{}
	for range 3 {
		got[r.next()]++
	}
	require.Equal(t, map[change]int{{path, false}: 1, {path, true}: 1, {gone, false}: 1}, got)
}

// TestStorm moves and removes directories as fast as possible. Nothing hangs, and the
// final state is right.
func TestStorm(t *testing.T) {
	dir := t.TempDir()
	path, marker := filepath.Join(dir, "a", "b", "node"), filepath.Join(dir, "marker")
	r := watch(t, false, path, marker)
	a := filepath.Join(dir, "a")
	for i := range 300 {
		mkdir(t, filepath.Dir(path))
		if i%3 > 0 {
			create(t, path)
		}
		if i%2 == 0 {
			away := filepath.Join(dir, fmt.Sprint("away", i%5))
			rename(t, a, away)
			remove(t, away)
		} else {
			remove(t, a)
		}
	}
	mkdir(t, filepath.Dir(path))
	create(t, path)
	// The look that finds the marker may have seen the path just before it was
	// made. Then the next look reports it.
	create(t, marker)
	present, marked := false, false
	for !present || !marked {
		c := r.next()
		if c.path == marker {
			marked = true
			continue
		}
		require.Equal(t, !present, c.present, "the same state twice")
		present = c.present
	}
	require.Empty(t, r.changes)
	require.LessOrEqual(t, len(r.fs.WatchList()), 10)
}

// TestWatchesAreGivenUp has a link point to one directory after the other.
func TestWatchesAreGivenUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node")
	r := watch(t, false, path)
	before := len(r.fs.WatchList())
	for i := range 20 {
		target := filepath.Join(dir, fmt.Sprint("dir", i), "node")
		mkdir(t, filepath.Dir(target))
		create(t, target)
		symlink(t, target, path)
		r.gets(path, true)
		remove(t, path)
		r.gets(path, false)
	}
	require.LessOrEqual(t, len(r.fs.WatchList()), before+1)
}

func TestManyPathsShareWatches(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i := range 100 {
		paths = append(paths, filepath.Join(dir, fmt.Sprint("node", i)))
	}
	r := watch(t, false, paths...)
	require.LessOrEqual(t, len(r.fs.WatchList()), 10)
	for _, p := range paths {
		create(t, p)
	}
	got := map[string]bool{}
	for range paths {
		c := r.next()
		got[c.path] = c.present
	}
	for _, p := range paths {
		require.True(t, got[p])
	}
	// A path that is given twice is told once.
	watch(t, false, filepath.Join(dir, "x"))
	n := 0
	w, err := New([]string{"/dev/null", "/dev/null"}, func(string, bool) { n++ }, nil)
	require.NoError(t, err)
	w.Close()
	require.Equal(t, 1, n)
}
