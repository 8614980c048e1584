// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/redirect"
)

// asProgram makes the test's binary run as pnpdr.
const asProgram = "PNPDR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	// Keeps the tests from reading the user's files.
	dir, err := os.MkdirTemp("", "pnpdr")
	if err != nil {
		panic(err)
	}
	for key, value := range map[string]string{"XDG_CONFIG_HOME": dir, "HOME": dir, "NO_COLOR": ""} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		os.RemoveAll(dir)
		os.Exit(status)
	}))
}

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(home(t, file), []byte(text), 0o644))
	}
	want, err := os.ReadFile(home(t, file))
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

// source is the directory of the tests; machine changes to another one.
var source, _ = os.Getwd()

func home(t *testing.T, file string) string {
	t.Helper()
	require.NotEmpty(t, source)
	return filepath.Join(source, file)
}

// machine makes a fake machine and changes to its directory, so that its paths are
// the same each time.
func machine(t *testing.T) *discovertest.Tree {
	t.Helper()
	tree := discovertest.New(t)
	require.NoError(t, os.Chdir(filepath.Dir(tree.Dev)))
	t.Cleanup(func() { require.NoError(t, os.Chdir(source)) })
	return tree
}

// furnished is a machine with some devices.
func furnished(t *testing.T) *discovertest.Tree {
	t.Helper()
	tree := machine(t)
	tree.Plug(discovertest.FTDI("A600"))
	tree.Plug(discovertest.Keyboard())
	tree.Plug(discovertest.Gamepad())
	tree.Plug(discovertest.Stick())
	tree.Plug(discovertest.ACM("7"))
	return tree
}

// roots adds the flags that select the fake machine and its own policy.
func roots(args ...string) []string {
	return append(args, "--sys-root=sys", "--dev-root=dev", "--udev-root=run/udev", "--admin=admin.toml")
}

// runApp runs the program to its end, without a terminal.
func runApp(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := &app{kinds: kinds.All(), out: &out, errs: &errs}
	status = a.run(context.Background(), args)
	return status, out.String(), errs.String()
}

func TestList(t *testing.T) {
	furnished(t)
	require.NoError(t, os.WriteFile("admin.toml", []byte("[[rule]]\naction = \"deny\"\ncomment = \"no serial ports\"\nvid = \"0403\"\n"), 0o600))
	for name, args := range map[string][]string{
		"list":      {},
		"list-auto": {"auto"},
		"list-all":  {"--all", "usb:2341:*,ro,name:Scale", "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runApp(roots(append([]string{"list"}, args...)...)...)
			assert.Equal(t, exitOK, status)
			assert.Empty(t, errs)
			golden(t, name+".txt", out)
		})
	}
}

// TestListed lists what is redirected although it is not eligible.
func TestListed(t *testing.T) {
	furnished(t)
	_, out, _ := runApp(roots("list", "usb:046d:c31c")...)
	assert.Regexp(t, `(?m)^2  redirected .* dev/hidraw0 .* option usb:046d:c31c$`, out)
	_, out, _ = runApp(roots("list")...)
	assert.NotContains(t, out, "hidraw0")
}

// TestNarrow prints the table for terminals of any width: lines fit if the terminal
// has room for a node, and only the ends of names are lost.
func TestNarrow(t *testing.T) {
	furnished(t)
	var out, errs bytes.Buffer
	a := &app{kinds: kinds.All(), out: &out, errs: &errs, sysRoot: "sys", devRoot: "dev", udevRoot: "run/udev"}
	p, err := a.policy([]string{"auto"})
	require.NoError(t, err)
	items, err := a.scan(p)
	require.NoError(t, err)
	const least = 58
	for a.width = 1; a.width < 200; a.width++ {
		out.Reset()
		a.printTable(items)
		for _, line := range strings.Split(out.String(), "\n") {
			assert.LessOrEqual(t, cells.StringWidth(line), max(a.width, least), "width %d: %s", a.width, line)
		}
		words := strings.Join(strings.Fields(out.String()), "")
		for _, i := range items {
			for _, part := range []string{i.id(), i.node(), i.reason()} {
				assert.Contains(t, words, strings.Join(strings.Fields(part), ""), "width %d", a.width)
			}
		}
		if a.width == 80 || a.width == 60 {
			golden(t, fmt.Sprintf("list-%d.txt", a.width), out.String())
		}
	}
}

func TestColor(t *testing.T) {
	furnished(t)
	var out bytes.Buffer
	a := &app{kinds: kinds.All(), out: &out, errs: &out, color: true, width: 100}
	require.Equal(t, exitOK, a.run(context.Background(), roots("list", "auto")))
	assert.Contains(t, out.String(), "\x1b[32mredirected\x1b[0m")
	var bare bytes.Buffer
	a = &app{kinds: kinds.All(), out: &bare, errs: &bare, width: 100}
	require.Equal(t, exitOK, a.run(context.Background(), roots("list", "auto")))
	stripped := out.String()
	for _, code := range []color{bold, faint, red, green, yellow, "0"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+string(code)+"m", "")
	}
	assert.Equal(t, bare.String(), stripped, "colours take no room")
}

func TestEmptyMachine(t *testing.T) {
	machine(t)
	status, out, _ := runApp(roots("list")...)
	assert.Equal(t, exitOK, status)
	assert.Equal(t, "No device here can be redirected.\n", out)
	status, out, _ = runApp(roots("list", "--json")...)
	assert.Equal(t, exitOK, status)
	assert.JSONEq(t, `{"problems": [], "devices": [], "named": []}`, out)
}

func TestJSON(t *testing.T) {
	furnished(t)
	require.NoError(t, os.WriteFile("admin.toml", []byte("[[rule]]\naction = \"allow\"\nvid = \"0403\"\nhandles = 2\n"), 0o600))
	status, out, errs := runApp(roots("list", "--json", "--all", "usb:0403:*,ro")...)
	assert.Equal(t, exitOK, status)
	assert.Empty(t, errs)
	golden(t, "list.json", out)
	var doc document
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&doc))
	assert.True(t, doc.Devices[0].ReadOnly)
	assert.Equal(t, 2, doc.Devices[0].Limits.Handles)
}

func TestProblems(t *testing.T) {
	furnished(t)
	require.NoError(t, os.WriteFile("user.toml", []byte("defualt = \"deny\"\n"), 0o600))
	status, out, errs := runApp(roots("list", "--config=user.toml", "rule:deny+vdi=1", "auto")...)
	assert.Equal(t, exitFailed, status, "the list is printed, but something is wrong")
	assert.Contains(t, out, "cannot be understood, so it denies every device")
	assert.Contains(t, errs, `user.toml:1:1: there is no "defualt" here (did you mean "default"?)`)
	assert.Contains(t, errs, "user.toml: until this is corrected, it denies every device")
	assert.Contains(t, errs, `option "rule:deny+vdi=1": there is no "vdi" (did you mean "vid"?)`)

	status, out, _ = runApp(roots("list", "--json", "--config=user.toml", "usb:1234:5678")...)
	assert.Equal(t, exitFailed, status)
	var doc document
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Len(t, doc.Named, 1)
	assert.Equal(t, "usb:1234:5678", doc.Named[0].Option)
	assert.False(t, doc.Named[0].Redirect)
	assert.Equal(t, redirect.NotPluggedIn, doc.Named[0].Reason)
	require.Len(t, doc.Problems, 1)
	assert.Equal(t, 1, doc.Problems[0].Line)
}

// TestOtherDevices passes options of the plugin that name what need not be among
// the devices found.
func TestOtherDevices(t *testing.T) {
	furnished(t)
	dir, err := os.Getwd()
	require.NoError(t, err)
	list := func(want string, words ...string) {
		t.Helper()
		status, out, errs := runApp(roots(append([]string{"list"}, words...)...)...)
		assert.Equal(t, exitOK, status)
		assert.Empty(t, errs)
		_, tail, _ := strings.Cut(out, "--all shows them.\n")
		assert.Equal(t, want, tail)
	}
	require.NoError(t, os.Symlink("dev/ttyUSB0", "link"))
	const missing = " is not redirected: it is not there; it will be redirected when it appears.\n"
	list("loopback is redirected by its name.\nfile:x"+missing, "loopback,name:x", "file:x,ro", "max-handles:3", "help")
	require.NoError(t, os.WriteFile("x", nil, 0o600))
	list("file:x is redirected by its name, read-only.\n", "file:x,ro")
	list("serial:x is not redirected: it is not a character device; name it as file:"+dir+"/x.\n", "serial:x")
	list("serial:/none"+missing, "serial:/none")
	list("", "auto")
	const unplugged = " is not redirected: it is not plugged in; it will be redirected when it is.\n"
	list("usb:1234:*"+unplugged+"image:1-9"+unplugged, "usb:1234:*", "usb:0403:*", "image:1-9", "serial:dev/ttyUSB0", "rule:deny+vid=4321", "rule:allow+class=77")
	l, err := net.Listen("unix", "socket")
	require.NoError(t, err)
	defer l.Close()
	list("provider:socket is redirected by its name, while something answers there.\n", "provider:socket")
	list("char:/dev/null is redirected by its name.\n", "char:/dev/null")

	// A device that an option names is shown with the option's description.
	for _, words := range [][]string{{"char:link,name:Scale", "auto"}, {"auto", "char:./dev/../link,name:Scale"}} {
		_, out, _ := runApp(roots(append([]string{"list"}, words...)...)...)
		assert.Regexp(t, `(?m)^\d+ +redirected .* dev/ttyUSB0 +Scale +option char:`, out)
		assert.NotContains(t, out, "by its name")
	}
	require.NoError(t, os.WriteFile("admin.toml", []byte("[[rule]]\naction = \"deny\"\nvid = \"0403\"\n"), 0o600))
	_, out, _ := runApp(roots("list", "char:link,hwid:X")...)
	assert.Regexp(t, `(?m)^\d+ +denied .* dev/ttyUSB0 .* rule 1 of admin.toml \(line 1\): deny vid=0403$`, out)

	// An option without a path is ignored, as are those that describe it.
	status, _, errs := runApp(roots("list", "char:", "file", "loopback:x", "ro")...)
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, errs, `option "char:": it is ignored: the path is missing`)
	assert.Contains(t, errs, `option "file": it is ignored`)
	assert.Contains(t, errs, `option "loopback:x": it is ignored`)
	assert.Contains(t, errs, `option "ro": it is ignored: there is no device before it`)

	require.NoError(t, os.WriteFile("admin.toml", []byte("default = \"deny\"\n"), 0o600))
	const because = "no rule of admin.toml allows it, and its default is \"deny\".\n"
	list("loopback is not redirected: loopback cannot be read-only.\n", "loopback", "ro")
	list("serial:/none is not redirected: "+because+"loopback is redirected by its name.\n", "serial:/none", "loopback")
	// A device node is judged whatever option names it, a file is not.
	list("file:/dev/null is not redirected: "+because, "file:/dev/null")
	list("file:admin.toml is redirected by its name.\n", "file:admin.toml")

	// A device that is found is in the table, not below it.
	_, out, _ = runApp(append(roots("list", "serial:"+dir+"/dev/ttyUSB0"), "--dev-root="+dir+"/dev", "--admin=/none")...)
	assert.Contains(t, out, "option serial:"+dir+"/dev/ttyUSB0\n")
	assert.NotContains(t, out, "by its name")
}

// TestReadable names a node that may only be read.
func TestReadable(t *testing.T) {
	furnished(t)
	require.NoError(t, os.Chmod("dev/ttyUSB0", 0o400))
	if !onlyReadable("dev/ttyUSB0") {
		t.Skip("whoever runs this may write to anything")
	}
	_, out, _ := runApp(roots("list", "serial:dev/ttyUSB0")...)
	assert.Regexp(t, `(?m)^\d+ +redirected .* dev/ttyUSB0`, out)
	_, out, _ = runApp(roots("explain", "ttyUSB0", "char:dev/ttyUSB0")...)
	assert.Contains(t, out, "read-only")
	_, out, _ = runApp(roots("list", "auto")...)
	assert.Regexp(t, `(?m)^\d+ +redirected .* dev/ttyUSB0`, out)
}

func TestExplain(t *testing.T) {
	furnished(t)
	require.NoError(t, os.WriteFile("admin.toml", []byte("[[rule]]\naction = \"deny\"\ncomment = \"no sticks\"\nclass = \"08\"\n"), 0o600))
	for name, args := range map[string][]string{
		"explain-named":       {"0403:6001", "usb:0403:6001,name:Scale,ro,handles:1,optional"},
		"explain-not-asked":   {"dev/ttyUSB0"},
		"explain-user-denies": {"ttyACM0", "rule:deny"},
		"explain-keyboard":    {"2", "auto"},
		"explain-denied":      {"5", "auto"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := runApp(roots(append([]string{"explain"}, args...)...)...)
			assert.Equal(t, exitOK, status, errs)
			golden(t, name+".txt", out)
		})
	}
	status, out, _ := runApp(roots("explain", "--json", "0403:6001", "auto")...)
	assert.Equal(t, exitOK, status)
	var doc document
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Len(t, doc.Devices, 1)
	assert.Equal(t, "option auto", doc.Devices[0].Reason)

	status, out, errs := runApp(roots("explain", "1234:5678")...)
	assert.Equal(t, exitFailed, status)
	assert.Empty(t, out)
	assert.Contains(t, errs, `there is no device "1234:5678"`)
}

// TestExplainNamed explains devices that options name and that are not found.
func TestExplainNamed(t *testing.T) {
	furnished(t)
	dir, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("disk.img", nil, 0o600))
	for name, args := range map[string][]string{
		"explain-loopback": {"loopback"},
		"explain-missing":  {"serial:/none/tty", "name:Scale", "handles:1"},
	} {
		status, out, errs := runApp(roots(append([]string{"explain"}, args...)...)...)
		assert.Equal(t, exitOK, status, errs)
		golden(t, name+".txt", out)
	}
	for _, args := range [][]string{{"file:disk.img", "ro"}, {"file:disk.img,ro"}, {"disk.img", "file:disk.img,ro"}, {dir + "/disk.img", "file:disk.img,ro"}} {
		status, out, errs := runApp(roots(append([]string{"explain", "--json"}, args...)...)...)
		assert.Equal(t, exitOK, status, errs)
		var doc document
		require.NoError(t, json.Unmarshal([]byte(out), &doc))
		assert.Empty(t, doc.Devices)
		require.Len(t, doc.Named, 1)
		n := doc.Named[0]
		assert.Equal(t, jsonNamed{"file:disk.img", "file", dir + "/disk.img", 0, true, true, "option file:disk.img", jsonLimits{}, n.Description, []jsonDescription{}}, n)
	}

	_, named, _ := runApp(roots("explain", "loopback,name:X")...)
	assert.Contains(t, named, "X  loopback\n")

	// A device that is found is explained as such, whatever refers to it.
	for _, name := range []string{"serial:dev/ttyUSB0", "1"} {
		_, out, _ := runApp(roots("explain", "--json", name, "serial:dev/ttyUSB0")...)
		var doc document
		require.NoError(t, json.Unmarshal([]byte(out), &doc))
		require.Len(t, doc.Devices, 1, name)
		assert.True(t, doc.Devices[0].Redirect)
	}

	// The list has them too.
	_, out, _ := runApp(roots("list", "--json", "serial:dev/ttyUSB0", "file:/none/x", "loopback")...)
	var doc document
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Len(t, doc.Named, 3)
	assert.Equal(t, 1, doc.Named[0].Index)
	assert.True(t, doc.Named[0].Redirect && !doc.Named[1].Redirect && doc.Named[2].Redirect)
	assert.Equal(t, "it is not there; it will be redirected when it appears", doc.Named[1].Reason)

	status, _, errs := runApp(roots("explain", "./disk.img")...)
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, errs, "an option can name it: pnpdr explain file:./disk.img")
	_, _, errs = runApp(roots("explain", "/dev/null")...)
	assert.Contains(t, errs, "pnpdr explain char:/dev/null")
}

// TestOptionsCommand needs no server and no session.
func TestOptionsCommand(t *testing.T) {
	for _, args := range [][]string{{"options"}, {"help", "options"}} {
		status, out, _ := runApp(args...)
		assert.Equal(t, exitOK, status)
		assert.Contains(t, out, strings.Join(redirect.Usage(kinds.All()), "\n"))
	}
}

func TestMeant(t *testing.T) {
	tree := furnished(t)
	require.NoError(t, os.Symlink("dev/ttyUSB0", "link"))
	for _, name := range []string{"1", "dev/ttyUSB0", "ttyUSB0", "link", "0403:6001", "usb:0403:6001"} {
		status, out, errs := runApp(roots("explain", name)...)
		assert.Equal(t, exitOK, status, errs)
		assert.True(t, strings.HasPrefix(out, "FT232R USB UART  0403:6001  dev/ttyUSB0\n"), out)
	}
	p := tree.Plug(discovertest.FTDI("B"))
	for _, key := range []string{p.Keys[0], "/sys/" + p.Keys[0]} {
		status, out, errs := runApp(roots("explain", key)...)
		assert.Equal(t, exitOK, status, errs)
		assert.Contains(t, out, "dev/ttyUSB1")
	}
	_, out, _ := runApp(roots("explain", "0403:6001")...)
	assert.Contains(t, out, "dev/ttyUSB0")
	assert.Contains(t, out, "dev/ttyUSB1", "there are two of them")
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.toml"), filepath.Join(dir, "bad.toml")
	require.NoError(t, os.WriteFile(good, []byte("[[rule]]\naction = \"deny\"\n"), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("colour = 1\nx = \n"), 0o600))

	status, out, errs := runApp("check", good)
	assert.Equal(t, exitOK, status)
	assert.Equal(t, good+": no errors, 1 rule\n", out)
	assert.Empty(t, errs)

	status, out, errs = runApp("check", bad, good, filepath.Join(dir, "none"))
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, good+": no errors, 1 rule\n", out)
	assert.Contains(t, errs, bad+`:1:1: there is no "colour" here`+"\n"+bad+":2:")
	assert.Equal(t, 1, strings.Count(errs, bad+": until this is corrected, it denies every device that reaches it\n"))
	assert.Contains(t, errs, "none: it cannot be read: no such file or directory\n")

	status, out, errs = runApp("check", "--admin", good, "--config", filepath.Join(dir, "none"))
	assert.Equal(t, exitFailed, status, "a file that is named must exist")
	assert.Contains(t, out, good)
	assert.Contains(t, errs, "none: it cannot be read")

	status, out, _ = runApp("check", "--admin", filepath.Join(dir, "none"))
	assert.Equal(t, exitOK, status)
	assert.Equal(t, 2, strings.Count(out, ": not there\n"))

	dangling := filepath.Join(dir, "dangling.toml")
	require.NoError(t, os.Symlink("nowhere", dangling))
	status, _, errs = runApp("check", "--admin", dangling)
	assert.Equal(t, exitFailed, status, "nobody knows what the file said")
	assert.Contains(t, errs, dangling+": it cannot be read")
}

func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"nothing":         `unknown command "nothing"`,
		"list --bogus":    "unknown flag: --bogus",
		"list bogus":      `option "bogus": there is no such option`,
		"list seral:/x":   `option "seral:/x": there is no such option (did you mean "serial:/x"?)`,
		"list /dev/ttyS0": `(did you mean "serial:/dev/ttyS0"?)`,
		"explain":         "which device?",
		"explain 1 bog":   `option "bog": there is no such option`,
		"monitor bogus":   `option "bogus": there is no such option`,
	} {
		status, out, errs := runApp(strings.Fields(args)...)
		assert.Equal(t, exitUsage, status, args)
		assert.Empty(t, out)
		assert.Contains(t, errs, want)
		assert.Contains(t, errs, "see pnpdr --help")
	}
	for _, args := range []string{"list", "explain 1", "monitor"} {
		status, _, errs := runApp(append(strings.Fields(args), "--sys-root=/none")...)
		assert.Equal(t, exitFailed, status, args)
		assert.Contains(t, errs, "no such file or directory")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		status, out, errs := runApp(args...)
		assert.Equal(t, exitOK, status)
		assert.Empty(t, errs)
		golden(t, "help.txt", out)
	}
	status, out, _ := runApp("--version")
	assert.Equal(t, exitOK, status)
	assert.Equal(t, "pnpdr version "+version+"\n", out)
}
