// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/rules"
)

func TestOptions(t *testing.T) {
	o := ParseOptions([]string{
		"loopback", "file:/img,a", "name:Disk%2C 100%25", "ro", "char:/dev/x", "caps:removable+lock", "handles:2",
		"serial:/dev/ttyUSB0", "name:Meter", "usb:0403:*", "auto", "", "max-reply:64K", "max-requests:7",
	}, kinds.All())
	require.Empty(t, o.Problems)
	named := o.Rules.Named
	require.Len(t, named, 4)
	require.Equal(t, loopback.DefaultDescription(), named[0].Unjudged().Description)
	disk := named[1]
	require.Equal(t, "/img,a", disk.Path)
	require.True(t, disk.Settings.ReadOnly)
	require.Equal(t, pnp.Description{Name: "Disk, 100%", HardwareIDs: []string{`PNPDR\FILE`}}, disk.Unjudged().Description)
	require.Equal(t, 2, named[2].Settings.Limits.Handles)
	require.Equal(t, pnp.PNP_DEVCAPS_REMOVABLE|pnp.PNP_DEVCAPS_LOCKSUPPORTED, *named[2].Settings.Description.Caps)

	port := named[3].Unjudged().Description
	require.Equal(t, "Meter", port.Name)
	require.Equal(t, []string{`PNPDR\SERIAL`}, port.HardwareIDs)
	require.True(t, o.Rules.Auto)
	require.Len(t, o.Rules.Rules, 2)

	want := pnp.DefaultLimits()
	want.ReplyData, want.HandleRequests = 64<<10, 7
	require.Equal(t, want, o.Limits)
}

// TestProblems: each says what, why and what becomes of it.
func TestProblems(t *testing.T) {
	for word, want := range map[string]string{
		"nonsense":      "it is ignored: there is no such option",
		"loopback:x":    "it is ignored: it takes no value",
		"srvsvc:x":      `it is ignored: "x" is not read-only`,
		"share:docs":    "it is ignored: it is written share:NAME=PATH",
		"char:":         "it is ignored: the path is missing, as in char:/dev/NAME",
		"max-reply:x":   `it is ignored: "x" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
		"max-reply:0":   `it is ignored: "0" is not a number from 1 to 2147483647`,
		"guid:x":        "it is ignored: there is no device before it for it to describe",
		"hid:":          "until it is corrected, it denies every device",
		"rule:perhaps":  `"perhaps" is neither allow nor deny`,
		"usb:0403":      "vendor and product are missing",
		"max-devices:-": "it is ignored",
	} {
		o := ParseOptions([]string{"auto", word}, kinds.All())
		require.Len(t, o.Problems, 1, word)
		require.Contains(t, o.Problems[0].String(), want)
		require.Contains(t, o.Problems[0].String(), `option "`+word+`": `)
		require.Equal(t, word == "nonsense", errors.Is(o.Problems[0].Err, ErrNoOption))
		require.True(t, o.Rules.Auto, "the rest counts")
	}
}

// TestDidYouMean: a word that is not an option is compared with all that are.
func TestDidYouMean(t *testing.T) {
	for word, want := range map[string]string{
		"auot": "auto", "AUTO": "auto", "seral:/dev/ttyS0": "serial:/dev/ttyS0", "nmae:Scale": "name:Scale",
		"max-handle:3": "max-handles:3", "hepl": "help", "lopback": "loopback",
		"/dev/ttyS0": "serial:/dev/ttyS0", "/dev/serial/by-id/x": "serial:/dev/serial/by-id/x",
		"/dev/hidraw0": "hid:/dev/hidraw0", "/dev/usb/lp0": "char:/dev/usb/lp0", "~/disk.img": "file:~/disk.img",
		"0403:6001": "usb:0403:6001", "0403:*": "usb:0403:*",
	} {
		o := ParseOptions([]string{word}, kinds.All())
		require.Len(t, o.Problems, 1, word)
		require.ErrorIs(t, o.Problems[0].Err, ErrNoOption)
		require.Contains(t, o.Problems[0].String(), fmt.Sprintf(`there is no such option (did you mean %q?)`, want))
		require.False(t, slices.ContainsFunc(ParseOptions([]string{"loopback", want}, kinds.All()).Problems, func(p Problem) bool {
			return errors.Is(p.Err, ErrNoOption)
		}), want)
	}
	o := ParseOptions([]string{"nonsense"}, kinds.All())
	require.Equal(t, `option "nonsense": it is ignored: there is no such option`, o.Problems[0].String())
}

// TestHome: FreeRDP gets ~/ as it was typed, since no shell expands it there.
func TestHome(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	o := ParseOptions([]string{"file:~/disk.img", " file:/b", "\tname:B", "config:~/rules.toml", "file:~other", "file:/x/~/y"}, kinds.All())
	require.Empty(t, o.Problems)
	require.Equal(t, "/home/me/disk.img", o.Rules.Named[0].Path)
	require.Equal(t, "/b", o.Rules.Named[1].Path, "a blank after a comma")
	require.Equal(t, "B", o.Rules.Named[1].Settings.Description.Name)
	require.Equal(t, "/home/me/rules.toml", o.Rules.Config)
	require.Equal(t, "~other", filepath.Base(o.Rules.Named[2].Path))
	require.Equal(t, "/x/~/y", o.Rules.Named[3].Path)
}

// TestIgnoredHasNoEffect: a qualifier works or is ignored, not half of each.
func TestIgnoredHasNoEffect(t *testing.T) {
	settings := func(words ...string) (*rules.Settings, []Problem) {
		o := ParseOptions(append([]string{"loopback"}, words...), kinds.All())
		return o.Rules.Named[0].Settings, o.Problems
	}
	for _, value := range []string{"", ":", ":1", ":true", ":yes", ":on"} {
		s, problems := settings("ro"+value, "optional"+value)
		require.Empty(t, problems)
		require.True(t, s.ReadOnly && s.Description.Optional, value)
		s, problems = settings("ro:0", "optional:no")
		require.Empty(t, problems)
		require.False(t, s.ReadOnly || s.Description.Optional)
	}
	for _, word := range []string{"ro:x", "optional:x", "name:a\nb", "hwid:A+", "compat:+", "guid:x", "container:x", "caps:x", "handles:x"} {
		s, problems := settings("name:N", "hwid:A", "compat:B", word)
		require.Len(t, problems, 1, word)
		require.Contains(t, problems[0].String(), "it is ignored")
		same, _ := settings("name:N", "hwid:A", "compat:B")
		require.Equal(t, same, s, word)
	}
}

// TestLimits reads every limit, and holds docs/limits.md to them.
func TestLimits(t *testing.T) {
	document, err := os.ReadFile("../../docs/limits.md")
	require.NoError(t, err)
	seen := map[pnp.SessionLimits]bool{pnp.DefaultLimits(): true}
	for _, l := range limits {
		require.Contains(t, string(document), fmt.Sprintf("\n| `%s` | %s | ", l.key, l.standard()))
		o := ParseOptions([]string{l.key + ":" + l.standard()}, nil)
		require.Empty(t, o.Problems)
		require.Equal(t, pnp.DefaultLimits(), o.Limits, "the default is written as it is read")
		o = ParseOptions([]string{l.key + ":123K"}, nil)
		require.Empty(t, o.Problems)
		require.False(t, seen[o.Limits], "%s sets what another one does", l.key)
		seen[o.Limits] = true
		o = ParseOptions([]string{fmt.Sprint(l.key, ":", l.least-1)}, nil)
		require.Len(t, o.Problems, 1)
	}
	require.Len(t, limits, reflect.TypeFor[pnp.SessionLimits]().NumField(), "a limit without an option")
}

// TestUsage: every option that help lists is one that is read.
func TestUsage(t *testing.T) {
	values := map[string]string{
		"auto": "", "usb": "0403:6001", "rule": "deny+vid=1", "config": "/x", "hwid": "A", "compat": "A", "name": "A",
		"guid": "{86E0D1E0-8089-11D0-9CE4-08003E301F73}", "container": "{86E0D1E0-8089-11D0-9CE4-08003E301F73}",
		"caps": "lock", "optional": "", "ro": "", "srvsvc": "read-only", "share": "docs=/x",
	}
	for _, line := range Usage(kinds.All()) {
		if !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "    ") {
			continue
		}
		for _, word := range strings.Split(line, ", ") {
			word = strings.NewReplacer("[:", ":", "]", "").Replace(word) // what may be left out
			key, argument, hasArgument := strings.Cut(strings.Fields(word)[0], ":")
			value, known := values[key]
			if !known {
				value = map[bool]string{true: "/dev/x", false: "7M"}[strings.HasPrefix(argument, "PATH")]
			}
			option := key
			if hasArgument {
				option += ":" + value
			}
			words := []string{"loopback", option}
			o := ParseOptions(words, kinds.All())
			require.Empty(t, o.Problems, line)
			if !strings.HasPrefix(strings.TrimSpace(line), "handles:") {
				break // what follows a comma is help
			}
		}
	}
}

func TestObstacles(t *testing.T) {
	dir := t.TempDir()
	regular := filepath.Join(dir, "regular")
	require.NoError(t, os.WriteFile(regular, nil, 0o600))
	_, pty := devtest.OpenPTY(t)
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	for _, c := range []struct {
		kind, path, want string
	}{
		{"file", filepath.Join(dir, "missing"), "it is not there; it will be redirected when it appears"},
		{"file", dir, "it is a directory"},
		{"file", "/dev/null", "it is not a block device or a regular file; name it as char:/dev/null"},
		{"char", regular, "it is not a character device; name it as file:" + regular},
		{"serial", regular, "it is not a character device; name it as file:" + regular},
		{"file", fifo, "it is not a block device or a regular file"},
		{"char", socket, "it is not a character device; name it as pipe:" + socket},
		{"pipe", regular, "it is not a Unix socket; name it as file:" + regular},
		{"pipe", socket, ""},
		{"file", regular, ""},
		{"char", "/dev/null", ""},
		{"serial", "/dev/null", "it is a device of the subsystem mem, not tty; name it as char:/dev/null"},
		{"hid", "/dev/zero", "it is a device of the subsystem mem, not hidraw; name it as char:/dev/zero"},
		{"serial", "/dev/tty", ""},
		{"serial", pty, ""},
	} {
		err := Obstacle(&rules.Named{Kind: kinds.All().Named(c.kind), Path: c.path}, kinds.All())
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
	}
}

// TestDenied checks that the advice about permissions names a group that helps, and
// nothing that only Go's programmers can read.
func TestDenied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	advice := func(mode os.FileMode) string {
		require.NoError(t, os.Chmod(path, mode))
		info, err := os.Stat(path)
		require.NoError(t, err)
		return denied(info).Error()
	}
	require.Equal(t, "permission denied; give your user access to it, and it will be redirected", advice(0o600))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(path, -1, 54321)) // a group without a name
		require.Equal(t, `permission denied; make your user a member of the group 54321 ("sudo adduser $USER 54321") and log in again`, advice(0o660))
	}
}

// TestOnlyWhatWasJudgedIsOpened: between the decision and the open a path can
// come to lead to another device.
func TestOnlyWhatWasJudgedIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/dev/null", path))
	open := func(k *backend.Kind, judged string) (pnp.Handle, error) {
		place, err := devnode.Look(judged)
		require.NoError(t, err)
		s := &Session{}
		verify := s.verify(place, slog.New(slog.NewTextHandler(io.Discard, nil)), func() error { return nil })
		d, err := k.New(backend.Source{Path: path, Verify: verify})
		require.NoError(t, err)
		return d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING})
	}
	for _, k := range kinds.All() {
		if k.Nodes == 0 || k.Attend != nil { // the latter connects by Source.Dial
			continue
		}
		_, err := open(k, "/dev/zero")
		require.Equal(t, pnp.ERROR_ACCESS_DENIED, pnp.HRESULTOf(err), k.Name)
		require.ErrorContains(t, err, "another node than the one that was allowed")
	}
	h, err := open(kinds.All().Named("char"), path)
	require.NoError(t, err)
	h.Close(func() {})
}
