// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/devtest/requirements"
	"freerdp-pnpdr/pnp/srvs/epm"
)

var update = flag.Bool("update", false, "write the golden files and the table of docs/srvsvc.md")

const (
	document     = "../../docs/srvsvc.md"
	childVar     = "PNPDR_SRVS_RPCCLIENT" // where the child process writes what it recorded
	clientsPause = 60 * time.Second       // a hang guard
)

// program returns the path of a program, or skips.
func program(t *testing.T, name, debian string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: %s is not installed (package %s)", name, debian)
	}
	return path
}

// pythonWithImpacket returns an interpreter that has impacket, or skips.
func pythonWithImpacket(t *testing.T) string {
	return devtest.Python(t, "impacket.dcerpc.v5.srvs", "impacket", "python3-impacket")
}

// run runs a program to its end and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	require.NoError(t, cmd.Start())
	guard := time.AfterFunc(clientsPause, func() { cmd.Process.Kill() })
	defer guard.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// TestClients has programs that others wrote call the service, and compares the
// table of the documentation with what they called.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("programs of others take seconds")
	}
	proofs := make(map[string][]recordedCall)
	t.Run("impacket", func(t *testing.T) { proofs["impacket"] = testImpacket(t) })
	t.Run("ndrdump", func(t *testing.T) { proofs["ndrdump"] = testNdrdump(t, proofs["impacket"]) })
	t.Run("rpcclient", func(t *testing.T) { proofs["rpcclient"] = testRpcclient(t) })
	t.Run("smbtorture", func(t *testing.T) { proofs["smbtorture"] = testSmbtorture(t) })
	t.Run("table", func(t *testing.T) {
		for _, name := range provers {
			if proofs[name] == nil {
				t.Skipf("NOT TESTED: %s did not run", name)
			}
		}
		compareTable(t, proofs)
	})
}

// An impacketCall is a line that testdata/calls.py prints.
type impacketCall struct {
	Opnum  int             `json:"opnum"`
	Level  *uint32         `json:"level"`
	Want   uint32          `json:"want"`
	Code   uint32          `json:"code"`
	Answer json.RawMessage `json:"answer"`
}

// testImpacket calls all opnums at all levels. impacket decodes each answer, which
// is compared with the golden file.
func testImpacket(t *testing.T) []recordedCall {
	python := pythonWithImpacket(t)
	r := newRecorder(t)
	require.NoError(t, os.Chmod(r.source.state.Shares[0].Dir, 0o700))
	out, err := run(t, exec.Command(python, "testdata/calls.py", strconv.Itoa(r.listenTCP(t))))
	require.NoError(t, err, out)
	const golden = "testdata/calls.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, strings.Split(string(want), "\n"), strings.Split(out, "\n"))

	seen := make(map[int][]string)
	lines := bufio.NewScanner(strings.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var call impacketCall
		require.NoError(t, json.Unmarshal(lines.Bytes(), &call), lines.Text())
		assert.Equal(t, call.Want, call.Code, lines.Text())
		level := "none"
		if call.Level != nil {
			level = strconv.FormatUint(uint64(*call.Level), 10)
		}
		seen[call.Opnum] = append(seen[call.Opnum], level)
	}
	for _, row := range requirements.ReadCSV(t, "testdata/opnums.csv") {
		opnum, err := strconv.Atoi(row[0])
		require.NoError(t, err)
		for _, level := range levelsOf(t, row[4]) {
			assert.Contains(t, seen[opnum], level, "%s %s", row[0], row[1])
		}
	}
	calls := r.taken()
	for _, opnum := range []int{29, 42, 47} { // which are faults, and so not recorded
		calls = append(calls, recordedCall{Opnum: opnum, Code: opRange})
	}
	return calls
}

// opRange is the fault of opnums that cannot be called.
const opRange = 0x1C010002

// levelsOf returns the numbers and ranges of the column levels of opnums.csv.
func levelsOf(t *testing.T, column string) (list []string) {
	for _, part := range regexp.MustCompile(`0x[0-9A-Fa-f]+|\d+-\d+|\d+`).FindAllString(column, -1) {
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseUint(low, 0, 32)
		require.NoError(t, err)
		last := first
		if isRange {
			last, err = strconv.ParseUint(high, 0, 32)
			require.NoError(t, err)
		}
		for n := first; n <= last; n++ {
			list = append(list, strconv.FormatUint(n, 10))
		}
	}
	if list == nil {
		return []string{"none"}
	}
	return list
}

// ndrdumpLacks are the opnums, or opnums and levels, whose parameters Samba 4.17
// describes otherwise than [MS-SRVS] section 6, or not at all.
var ndrdumpLacks = []string{"14 503", "15 503", "16 503", "17 503", "21 103", "22 599", "25", "34", "36 503", "37", "38",
	"43", "44", "45", "46", "48", "49", "50", "51", "52", "53", "54", "55", "56", "57"}

// testNdrdump decodes all stubs of calls with Samba's coder, which is made from an
// IDL of its own: the request to its last byte, and the response to its last byte and
// such that it encodes to the same again.
func testNdrdump(t *testing.T, calls []recordedCall) (proved []recordedCall) {
	ndrdump := program(t, "ndrdump", "samba-testsuite")
	if calls == nil {
		t.Skip("NOT TESTED: there are no stubs to decode, as impacket did not run")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	for _, call := range calls {
		number := strconv.Itoa(call.Opnum)
		if call.Response == nil || call.Opnum <= lastReserved ||
			slices.Contains(ndrdumpLacks, number) || slices.Contains(ndrdumpLacks, number+" "+call.Level) {
			continue
		}
		require.NoError(t, os.WriteFile(in, call.Request, 0o600))
		require.NoError(t, os.WriteFile(out, call.Response, 0o600))
		text, err := run(t, exec.Command(ndrdump, "--validate", "-c", in, "srvsvc", number, "out", out))
		ok := err == nil && strings.Contains(text, "dump OK") && !strings.Contains(text, "WARNING")
		if assert.True(t, ok, "opnum %d, level %q: %v\n%.500s", call.Opnum, call.Level, err, text) {
			proved = append(proved, call)
		}
	}
	return proved
}

// rpcclientCommands are commands of rpcclient and something that each prints. It reads
// two backslashes as one.
var rpcclientCommands = []struct{ command, prints string }{
	{"srvinfo", "a desk"},
	{"netshareenum", ""}, // no share is persistent
	{"netshareenumall", `\Scale`},
	{"netshareenumall 502", "IPC$"},
	{"netsharegetinfo Scale", `Serial port, ACPI\PNP0501`},
	{"netsharegetinfo home 502", "type:	0x40000000"},
	{"netremotetod", ""},
	{"netsessenum", "Received 1 entries"},
	{`netsessenum \\\\RDPHOST alice 502`, ""},
	{"netfileenum", `\srvsvc`},
	{`netconnenum x 1 \\\\RDPHOST`, ""},
	{"netdiskenum", ""},
	{"netnamevalidate good 9", ""},
	{"netnamevalidate a/b 9", "WERR_INVALID_NAME"},
	{"netfilegetsec home /", "S-1-22-1-"},
	{"netfilegetsec home none", "WERR_FILE_NOT_FOUND"},
	{"netsharesetinfo home comment", "WERR_ACCESS_DENIED"},
	{`netshareadd C:\\x new`, "WERR_ACCESS_DENIED"},
	{"netsharedel home", "WERR_ACCESS_DENIED"},
	{`netsessdel \\\\RDPHOST bob`, "WERR_NERR_CLIENTNAMENOTFOUND"},
	{`netsessdel \\\\RDPHOST alice`, ""},
}

// testRpcclient runs Samba's rpcclient, which asks port 135 for the endpoint: in a
// child process with a network of its own.
func testRpcclient(t *testing.T) (calls []recordedCall) {
	program(t, "rpcclient", "smbclient")
	results := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRpcclientChild$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	t.Setenv(childVar, results)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("NOT TESTED: there are no user and network namespaces: %v", err)
	}
	require.NoError(t, cmd.Wait(), out.String())
	b, err := os.ReadFile(results)
	require.NoError(t, err, out.String())
	require.NoError(t, json.Unmarshal(b, &calls))
	return calls
}

// TestRpcclientChild is what testRpcclient runs in a child process.
func TestRpcclientChild(t *testing.T) {
	results := os.Getenv(childVar)
	if results == "" {
		t.Skip("TestClients runs this in a child process")
	}
	loopbackUp(t)
	r := newRecorder(t)
	mapper := epm.New(Syntax, epm.Endpoint{Port: uint16(r.listenTCP(t))}, r.config.Log)
	l, err := net.Listen("tcp", "127.0.0.1:135")
	require.NoError(t, err)
	r.listen(t, l, func(ctx context.Context, conn net.Conn) error { return mapper.Serve(ctx, conn, nil) })
	for _, c := range rpcclientCommands {
		// Samba's own configuration does not matter, nor does its absence.
		out, _ := run(t, exec.Command("rpcclient", "--configfile=/dev/null", "-U%", "ncacn_ip_tcp:127.0.0.1", "-c", c.command))
		if c.prints == "" {
			assert.NotContains(t, out, "WERR_", c.command)
			assert.NotContains(t, out, "NT_STATUS_", c.command)
		}
		assert.Contains(t, out, c.prints, c.command)
	}
	b, err := json.Marshal(r.taken())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(results, b, 0o600))
}

// loopbackUp sets up the loopback of a new network.
func loopbackUp(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	require.NoError(t, err)
	request.SetUint16(unix.IFF_UP)
	require.NoError(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}

// testSmbtorture runs Samba's own tests of the service. One that does not pass has a
// line in the documentation.
func testSmbtorture(t *testing.T) []recordedCall {
	smbtorture := program(t, "smbtorture", "samba-testsuite")
	doc, err := os.ReadFile(document)
	require.NoError(t, err)
	r := newRecorder(t)
	cmd := exec.Command(smbtorture, "--configfile=/dev/null", "-U%", "--option=torture:dangerous=yes",
		fmt.Sprintf("ncacn_ip_tcp:127.0.0.1[%d]", r.listenTCP(t)), "rpc.srvsvc")
	cmd.Dir = t.TempDir() // where it leaves its files
	out, _ := run(t, cmd)
	results := regexp.MustCompile(`(?m)^(success|failure|error|skip|xfail): srvsvc (?:\(admin access\)|anonymous access)\.(\w+)`).FindAllStringSubmatch(out, -1)
	assert.Len(t, results, 17, out)
	passed := 0
	for _, result := range results {
		if result[1] == "success" {
			passed++
			continue
		}
		name := strings.TrimPrefix(result[0], result[1]+": srvsvc ")
		assert.Contains(t, string(doc), "`"+name+"`", "it does not pass: %s", result[0])
	}
	assert.Equal(t, 11, passed)
	return r.taken()
}

// provers are the programs of the table, in the order of its last column.
var provers = []string{"impacket", "ndrdump", "rpcclient", "smbtorture"}

// resultNames are those of return values that the table has.
var resultNames = map[uint32]string{0: "success", 1: "1", 2: "2 FILE_NOT_FOUND", 5: "5 ACCESS_DENIED", 0x32: "0x32 NOT_SUPPORTED",
	0x57: "0x57 INVALID_PARAMETER", 0x906: "0x906 NetNameNotFound", 0xFFFFFFFF: "-1", opRange: "fault 0x1C010002"}

// table returns the table of the documentation: what impacket called and got, and
// who else called the same and got the same.
func table(proofs map[string][]recordedCall) string {
	type row struct {
		opnum  int
		result uint32
		who    string
	}
	levels := make(map[row][]string)
	var rows []row
	for _, call := range proofs["impacket"] {
		var who []string
		for _, name := range provers {
			if slices.ContainsFunc(proofs[name], func(c recordedCall) bool {
				return c.Opnum == call.Opnum && c.Level == call.Level && c.Code == call.Code
			}) {
				who = append(who, name)
			}
		}
		r := row{call.Opnum, call.Code, strings.Join(who, ", ")}
		if levels[r] == nil {
			rows = append(rows, r)
		}
		if level := call.Level; !slices.Contains(levels[r], level) {
			levels[r] = append(levels[r], level)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return a.opnum - b.opnum })
	var b strings.Builder
	b.WriteString("| opnum | method | level | result | proved by |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s |\n", r.opnum, methods[r.opnum].name, strings.Join(levels[r], " "), resultNames[r.result], r.who)
	}
	return b.String()
}

// compareTable compares the table of the documentation, or writes it.
func compareTable(t *testing.T, proofs map[string][]recordedCall) {
	doc, err := os.ReadFile(document)
	require.NoError(t, err)
	begin := bytes.Index(doc, []byte("| opnum |"))
	require.Positive(t, begin)
	end := begin + bytes.Index(doc[begin:], []byte("\n\n")) + 1
	want := table(proofs)
	if *update {
		require.NoError(t, os.WriteFile(document, slices.Concat(doc[:begin], []byte(want), doc[end:]), 0o644))
		return
	}
	assert.Equal(t, want, string(doc[begin:end]), "go test ./pnp/srvs -run TestClients -update writes it")
}
