// SPDX-License-Identifier: Apache-2.0

package srvsvc

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/srvs"
)

func alice() string { return "alice" }

// lookFor is newMounts once the user's name is known.
func lookFor(host *backend.Host, table string) *mounts {
	m := newMounts(host, table)
	if m != nil {
		<-m.known
	}
	return m
}

// looking is a client that looks for drives.
func looking(drives ...backend.Share) *backend.Host {
	return &backend.Host{Major: 3, Minor: 10, Account: alice, Drives: append(drives, backend.Share{Name: "media", Path: pathAll})}
}

// TestMountTable: which lines of a table are drives, and under which names.
func TestMountTable(t *testing.T) {
	run := fmt.Sprintf("/run/user/%d/gvfs", os.Getuid())
	share := func(name, path string) []backend.Share { return []backend.Share{{Name: name, Path: path}} }
	long := strings.Repeat("n", 255)
	for line, want := range map[string][]backend.Share{
		"/dev/sdb1 /media/alice/STICK vfat rw 0 0": share("STICK", "/media/alice/STICK"),
		"/dev/sdb1 /run/media/alice/x vfat rw 0 0": share("x", "/run/media/alice/x"),
		"/dev/sdb1 /run/media/alice vfat rw 0 0":   share("alice", "/run/media/alice"),
		"/dev/sdb1 /media/usb vfat rw 0 0":         share("usb", "/media/usb"),
		"/dev/sdb1 /media vfat rw 0 0":             share("media", "/media"),
		"/dev/sdb1 /mnt vfat rw 0 0":               share("mnt", "/mnt"),
		"/dev/sdb1 /mnt/disk vfat rw 0 0":          share("disk", "/mnt/disk"),
		"gvfsd " + run + " fuse.gvfsd rw 0 0":      share("gvfs", run),
		"gvfsd " + run + "/x fuse.gvfsd rw 0 0":    share("x", run+"/x"),
		"/dev/sdb1 /media/usb/ vfat rw 0 0":        nil, // has no name
		"/dev/sdb1\t/mnt/tab\tvfat":                share("tab", "/mnt/tab"),
		"/dev/sdb1  /mnt/two  vfat":                share("two", "/mnt/two"),
		"  /dev/sdb1 /mnt/indented":                share("indented", "/mnt/indented"),
		"autofs /mnt/auto autofs rw,fd=5 0 0":      share("auto", "/mnt/auto"),
		"autofs /mnt/auto autofs rw,ignore,x 0 0":  nil,
		"ext4 /mnt/kept ext4 rw,ignore 0 0":        share("kept", "/mnt/kept"),

		// Elsewhere, or too deep.
		"/dev/sdb1 / ext4 rw 0 0":                 nil,
		"/dev/sdb1 /home/alice vfat rw 0 0":       nil,
		"/dev/sdb1 /media/bob/STICK vfat rw 0 0":  nil,
		"/dev/sdb1 /media/alicex/S vfat rw 0 0":   nil,
		"/dev/sdb1 /media/alice/S/d vfat rw 0 0":  nil,
		"/dev/sdb1 /mediax vfat rw 0 0":           nil,
		"/dev/sdb1 /mnt/a/b vfat rw 0 0":          nil,
		"/dev/sdb1 /run/user/0x/gvfs vfat rw 0 0": nil,
		"/mnt/device /srv ext4 rw 0 0":            nil,

		// Names of whoever made the file system.
		`/dev/sdb1 /mnt/two\040words vfat`:                              share("two_words", "/mnt/two words"),
		`/dev/sdb1 /mnt/a\011b vfat`:                                    share("a\tb", "/mnt/a\tb"),
		`/dev/sdb1 /mnt/a\012/mnt/b vfat`:                               nil, // too deep
		`/dev/sdb1 /mnt/a\012b vfat`:                                    share("a\nb", "/mnt/a\nb"),
		`/dev/sdb1 /mnt/a\134040b vfat`:                                 share("a_040b", `/mnt/a\040b`),
		`/dev/sdb1 /mnt/a\057b vfat`:                                    share("a_057b", `/mnt/a\057b`), // not an escape of the table
		`/dev/sdb1 /mnt/a\ vfat`:                                        share("a_", `/mnt/a\`),
		`/dev/sdb1 /mnt/:<>"|*?.. vfat`:                                 share("_____*?..", `/mnt/:<>"|*?..`),
		"/dev/sdb1 /mnt/..":                                             share("..", "/mnt/.."),
		"/dev/sdb1 /mnt/\xff\xfe vfat":                                  share("\ufffd\ufffd", "/mnt/\xff\xfe"),
		"/dev/sdb1 /mnt/\u00fcml\u00e4ut vfat":                          share("\u00fcml\u00e4ut", "/mnt/\u00fcml\u00e4ut"),
		"/dev/sdb1 /mnt/" + long + " vfat":                              share(long, "/mnt/"+long),
		"x" + strings.Repeat("y", 5000) + " /mnt/z":                     nil, // the line is cut
		"overlay /mnt/o overlay " + strings.Repeat("lowerdir=x,", 5000): share("o", "/mnt/o"),

		// Not a line.
		"":                    nil,
		"/dev/sdb1":           nil,
		"# /mnt/comment vfat": nil,
		" #x /mnt/comment":    nil,
	} {
		require.Equal(t, want, lookFor(looking(), "").read(strings.NewReader(line+"\n")), "%q", line)
		require.Equal(t, want, lookFor(looking(), "").read(strings.NewReader(line)), "%q without an end", line)
	}
}

// TestManyMounts: FreeRDP looks at 100, and takes each folder once.
func TestManyMounts(t *testing.T) {
	var table strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&table, "tmpfs /run/%d tmpfs rw 0 0\ntmpfs /mnt/%d tmpfs rw 0 0\ntmpfs /mnt/%d tmpfs rw 0 0\n", i, i, i)
	}
	drives := lookFor(looking(), "").read(strings.NewReader(table.String()))
	require.Len(t, drives, 50)
	require.Equal(t, backend.Share{Name: "49", Path: "/mnt/49"}, drives[49])
}

// TestSameInUTF16: FreeRDP takes one of two folders that it cannot tell apart.
func TestSameInUTF16(t *testing.T) {
	drives := lookFor(looking(), "").read(strings.NewReader("a /mnt/\xff b\na /mnt/\xfe b\na /mnt/c b\n"))
	require.Equal(t, []backend.Share{{Name: "\ufffd", Path: "/mnt/\xff"}, {Name: "c", Path: "/mnt/c"}}, drives)
}

// TestLooks: what FreeRDP's settings must say that it looks, and what it knows already.
func TestLooks(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mounts")
	require.NoError(t, os.WriteFile(table, []byte("/dev/sdb1 /mnt/a vfat rw 0 0\n/dev/sdb2 /mnt/b vfat rw 0 0\n"), 0o600))
	drive := func(path string) backend.Share { return backend.Share{Name: "drive", Path: path} }
	find := func(account func() string, drives ...backend.Share) (names []string) {
		if m := lookFor(&backend.Host{Major: 3, Minor: 10, Account: account, Drives: drives}, table); m != nil {
			for _, d := range m.find() {
				names = append(names, d.Name)
			}
			return names
		}
		return []string{"does not look"}
	}
	both := []string{"a", "b"}
	require.Equal(t, []string{"does not look"}, find(alice))
	require.Equal(t, []string{"does not look"}, find(alice, drive("/mnt/a"), drive("%"), drive("**"), drive("dynamicdrives")))
	require.Equal(t, both, find(alice, drive("*")))
	require.Equal(t, both, find(alice, drive("%"), drive("DynamicDrives")))
	require.Equal(t, []string{"b"}, find(alice, drive("/mnt/a"), drive("*")))
	require.Equal(t, []string{"b"}, find(alice, drive("/mnt/a/"), drive("*")))
	require.Equal(t, both, find(alice, drive("*"), drive("/mnt/a")), "it was found before")
	require.Equal(t, []string{"b"}, find(alice, drive("DynamicDrives"), drive("/mnt/a")), "it is there before it looks")
	require.Empty(t, find(func() string { return "" }, drive("*")), "it looks nowhere")
	require.Empty(t, find(nil, drive("*")))
	require.NoError(t, os.Remove(table))
	require.Empty(t, find(alice, drive("*")))
}

// privateMounts makes a mount namespace for this goroutine's thread, which ends with it,
// and returns a path where mounts can be made for the test, and the thread's table.
func privateMounts(t *testing.T) (table string) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread has other mounts
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Skip("NOT TESTED: mounts of its own are refused, which take root: ", err)
	}
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""))
	return fmt.Sprintf("/proc/self/task/%d/mounts", unix.Gettid())
}

func mount(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(path, 0o700))
	require.NoError(t, unix.Mount("tmpfs", path, "tmpfs", 0, ""))
}

// TestRealMounts: shares come and go with mounts. They have valid names that differ, and
// numbers that are never used again.
func TestRealMounts(t *testing.T) {
	table := privateMounts(t)
	live := &session{}
	s := newSource(&backend.Session{Session: live, Since: time.Unix(1000, 0), Host: *looking(backend.Share{Name: "my docs", Path: "/docs"})})
	s.mounts.table = table
	<-s.mounts.known
	listed := func() (all []string) {
		for _, share := range s.Snapshot().Shares {
			all = append(all, fmt.Sprint(share.ID, " ", share.Name, " ", share.Dir))
		}
		return all
	}
	require.Equal(t, []string{"1 my_docs /docs", "2 mnt /mnt"}, listed())
	mount(t, "/mnt/My Docs")
	mount(t, "/mnt/a+b\n[c]")
	require.Equal(t, []string{"1 my_docs /docs", "2 mnt /mnt", "3 My_Docs (2) /mnt/My Docs", "4 a_b__c_ /mnt/a+b\n[c]"}, listed())
	live.Devices = append(live.Devices, device(1, "serial", "mnt"))
	mount(t, "/mnt/pipe")
	require.NoError(t, unix.Unmount("/mnt/My Docs", 0))
	require.Equal(t, []string{"1 my_docs /docs", "2 mnt /mnt", "4 a_b__c_ /mnt/a+b\n[c]", "5 pipe (2) /mnt/pipe", "6 mnt (2) "}, listed())
	mount(t, "/mnt/My Docs")
	require.Equal(t, "7 My_Docs (2) /mnt/My Docs", listed()[5])
	require.Equal(t, srvs.Share{ID: 2, Name: "mnt", Type: srvs.TypeDisk, Remark: "drive", Dir: "/mnt"},
		withoutTime(s.Snapshot().Shares[1]))
}

func withoutTime(s srvs.Share) srvs.Share {
	s.Since = time.Time{}
	return s
}

// TestNotAnnounced: FreeRDP before 3.7 does not tell of what is mounted later, nor of a
// mount that has gone and come again.
func TestNotAnnounced(t *testing.T) {
	table := privateMounts(t)
	mount(t, "/mnt/first")
	all, later := []backend.Share{{Path: pathAll}}, []backend.Share{{Path: pathLater}}
	for _, c := range []struct {
		major, minor int
		fixed        bool
	}{{2, 11, true}, {3, 6, true}, {3, 7, false}, {3, 30, false}, {4, 0, false}, {0, 0, false}} {
		names := func(m *mounts) (list string) {
			for _, d := range m.find() {
				list += d.Name + " "
			}
			return list
		}
		m := lookFor(&backend.Host{Major: c.major, Minor: c.minor, Account: alice, Drives: all}, table)
		if dynamic := lookFor(&backend.Host{Major: c.major, Minor: c.minor, Account: alice, Drives: later}, table); c.fixed {
			require.Nil(t, dynamic, c)
		} else {
			require.Equal(t, "mnt first ", names(dynamic), c)
		}
		mount(t, "/mnt/later")
		if c.fixed {
			require.Equal(t, "mnt first ", names(m), c)
		} else {
			require.Equal(t, "mnt first later ", names(m), c)
		}
		require.NoError(t, unix.Unmount("/mnt/later", 0))
		require.NoError(t, unix.Unmount("/mnt/first", 0))
		require.Equal(t, "mnt ", names(m), c)
		mount(t, "/mnt/first")
		if c.fixed {
			require.Equal(t, "mnt ", names(m), c)
		} else {
			require.Equal(t, "mnt first ", names(m), c)
		}
	}
}

// TestAccountUnknown: nobody waits for the user's name.
func TestAccountUnknown(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mounts")
	require.NoError(t, os.WriteFile(table, []byte("/dev/sdb1 /mnt/a vfat rw 0 0\n"), 0o600))
	answered := make(chan string)
	for _, major := range []int{2, 3} {
		host := looking()
		host.Major, host.Account = major, func() string { return <-answered }
		m := newMounts(host, table)
		require.Empty(t, m.find())
		answered <- "alice"
		<-m.known
		require.Len(t, m.find(), 1)
	}
}
