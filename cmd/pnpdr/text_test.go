// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cmd/internal/manpages"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

// TestHostileNames prints a device's names without control characters.
func TestHostileNames(t *testing.T) {
	var out bytes.Buffer
	a := &app{kinds: kinds.All(), out: &out, width: 60}
	i := item{index: 1, device: &discover.Device{Interface: -1, Product: "\x1b]0;x\a"}, decision: rules.Decision{
		Description: pnp.Description{Name: "\x1b[2J\u202eevil\nname"}, Reason: "option \x1b[31m",
	}}
	a.printTable([]item{i})
	a.explainItem(i)
	assert.NotContains(t, out.String(), "\x1b")
	assert.NotContains(t, out.String(), "\u202e")
	assert.Contains(t, out.String(), "evil\ufffdname")
}

func TestNoAccess(t *testing.T) {
	var out bytes.Buffer
	a := &app{kinds: kinds.All(), out: &out}
	d := &discover.Device{Node: "/dev/ttyUSB0", Interface: -1}
	i := item{index: 1, device: d, decision: rules.Decision{Redirect: true, Verdict: rules.Redirected, Reason: "option auto"},
		access: &discover.AccessError{Node: d.Node, Rule: "the rule", Err: os.ErrPermission}}
	a.printTable([]item{i})
	assert.Contains(t, out.String(), "no access")
	assert.Contains(t, out.String(), "option auto, but you may not open it")
	out.Reset()
	a.explainItem(i)
	assert.Contains(t, out.String(), "permission denied")
	j := i.json()
	assert.False(t, j.Access.OK)
	assert.Equal(t, "the rule", j.Access.UdevRule)
	i.access = errors.New("other")
	assert.Equal(t, &jsonAccess{Error: "other"}, i.json().Access)
}

func TestWrap(t *testing.T) {
	assert.Equal(t, []string{"one two", "three"}, wrap("one  two three", 9))
	assert.Equal(t, []string{"äöüäöüäö", "üab c"}, wrap("äöüäöüäöüab c", 8))
	assert.Empty(t, wrap(" ", 10))
	assert.Equal(t, "ab…", cut("abcdef", 3))
	assert.Equal(t, "…", cut("abc", 1))
	// Some characters take two columns, some none.
	assert.Equal(t, []string{"日本語キ", "ーボード"}, wrap("日本語キーボード", 9))
	assert.Equal(t, []string{"e\u0301e\u0301e\u0301e\u0301 abc", "d"}, wrap("e\u0301e\u0301e\u0301e\u0301 abc d", 8))
	assert.Equal(t, "日…", cut("日本語", 4))
	two := layout([]string{"NAME", "WHY"}, [][]string{{"日本語", "a"}, {"abc", "b"}}, 0)
	assert.Equal(t, []string{"日本語  a", "abc     b"}, []string{two.line([]string{"日本語", "a"}), two.line([]string{"abc", "b"})})
}

// TestLayout fills a terminal to the last column before it gives way.
func TestLayout(t *testing.T) {
	head := []string{"A", "NAME", "WHY"}
	row := []string{"aaa", "a long name", "because"}
	const all = 3 + gap + 11 + gap + 7
	assert.Equal(t, table{[]int{3, 11}, all, false}, layout(head, [][]string{row}, all))
	assert.Equal(t, table{[]int{3, 11}, all - 1, true}, layout(head, [][]string{row}, all-1))
	assert.Equal(t, table{[]int{3, 11}, 0, false}, layout(head, [][]string{row}, 0))
	assert.Equal(t, "aaa  a long name  because", layout(head, [][]string{row}, all).line(row))

	row[0] = "123456789"
	narrow := layout(head, [][]string{row}, minWidth)
	assert.Equal(t, "123456789  a long n…", narrow.line(row))
}

func TestSplitOptions(t *testing.T) {
	split, dropped := splitOptions([]string{"/dvc:pnpdr,auto,,usb:1:2", "ro", "", "/dvc:pnpdr,loopback", "/dvc:pnpdr"})
	assert.Equal(t, []string{"auto", "usb:1:2", "ro"}, split)
	assert.Equal(t, []string{"/dvc:pnpdr,loopback", "/dvc:pnpdr"}, dropped)
	status, out, errs := runApp(roots("list", "/dvc:pnpdr,loopback", "/dvc:pnpdr,file:/x")...)
	assert.Equal(t, exitFailed, status)
	assert.NotContains(t, out, "file:/x")
	assert.Contains(t, errs, `"/dvc:pnpdr,file:/x" has no effect: FreeRDP drops all but the first /dvc:pnpdr; put all options behind one`)
}

// TestConfigWithComma passes a path through the syntax of options unharmed.
func TestConfigWithComma(t *testing.T) {
	for _, name := range []string{"a,b", "a%2Cb", "a%2cb", "a%252Cb", "a%b"} {
		assert.Equal(t, name, rules.Unescape(escape.Replace(name)))
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	width, color := terminal(f)
	assert.Zero(t, width)
	assert.False(t, color)
}

// TestTerminal asks a pseudo terminal.
func TestTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer master.Close()
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer tty.Close()
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 72}))

	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	width, color := terminal(tty)
	assert.Equal(t, 72, width)
	assert.True(t, color)
	t.Setenv("NO_COLOR", "1")
	width, color = terminal(tty)
	assert.Equal(t, 72, width)
	assert.False(t, color)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	_, color = terminal(tty)
	assert.False(t, color)
}

func TestCompletion(t *testing.T) {
	status, out, errs := runApp("completion", "bash")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, errs)
	assert.Contains(t, out, "__start_pnpdr")
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(out)
	output, err := cmd.CombinedOutput()
	assert.NoError(t, err, string(output))

	furnished(t)
	for _, test := range []struct{ args, want string }{
		{"explain", "dev/ttyUSB0\tFT232R USB UART"},
		{"explain", "0403:6001\tFT232R USB UART"},
		{"explain 1", "auto\tevery eligible device"},
		{"list", "usb:0403:6001\tFT232R USB UART"},
		{"list", "serial:dev/ttyUSB0\tFT232R USB UART"},
		{"monitor", "auto"},
		{"check", "toml\n:8"},
		{"", "explain\t"},
	} {
		args := append(append([]string{"__complete"}, strings.Fields(test.args)...), roots()...)
		_, out, _ := runApp(append(args, "")...)
		assert.Contains(t, out, test.want, test.args)
	}
}

// TestManual holds the manual pages to the commands, flags and options.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	root := (&app{kinds: kinds.All()}).command()
	require.NoError(t, manpages.Write(root, dir))
	page := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name+".1"))
		require.NoError(t, err)
		return string(text)
	}
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Name() == "help" {
			continue
		}
		text := page(strings.ReplaceAll(c.CommandPath(), " ", "-"))
		assert.Contains(t, text, c.Short)
		c.Flags().VisitAll(func(f *pflag.Flag) {
			assert.Equal(t, !f.Hidden, strings.Contains(text, "--"+f.Name), "%s --%s", c.Name(), f.Name)
		})
	}
	assert.Contains(t, page("pnpdr-options"), strings.Join(redirect.Usage(kinds.All()), "\n"))
}
