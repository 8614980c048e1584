// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// args are those of a job.
func args(more ...string) []string {
	return append([]string{"17", "alice", "-title", "2", ""}, more...)
}

func label(size int) string {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(b)
	return string(b)
}

// TestPrint: the printer gets the job's bytes, those of a file once for each copy.
func TestPrint(t *testing.T) {
	s := newSession(t)
	for _, name := range []string{"Zebra", "Etikett Ü 1+2"} {
		p, _ := s.plug(name)
		folder := map[string]string{"Zebra": "Zebra", "Etikett Ü 1+2": "Etikett_Ü_1+2"}[name]
		job := label(1<<20 + 333)
		r := start(t, s.sessions, job, uri(folder), args()...)
		require.Zero(t, r.status())
		require.Equal(t, job, p.text())
		r.says("INFO: " + folder + " of " + self.name + " has the job")
	}
	p, _ := s.plug("Label")
	require.Zero(t, start(t, s.sessions, "", uri("Label"), args()...).status())
	require.Empty(t, p.text())
	file := filepath.Join(t.TempDir(), "d00017-001")
	require.NoError(t, os.WriteFile(file, []byte("^XA^XZ"), 0o600))
	require.Zero(t, start(t, s.sessions, "not this", uri("Label"), args(file)...).status())
	require.Equal(t, "^XA^XZ^XA^XZ", p.text())
}

// TestWait: a job waits for its printer, also if it is in use, and begins anew if the
// printer goes.
func TestWait(t *testing.T) {
	s := newSession(t)
	r := start(t, s.sessions, "job", uri("Zebra"), args()...)
	r.says("STATE: +offline-report")
	r.says("INFO: waiting for Zebra of " + self.name + ": it is not there")
	p, id := s.plug("Zebra")
	require.Zero(t, r.status())
	r.says("STATE: -offline-report")
	require.Equal(t, "job", p.text())

	p.set(func() { p.busy = true })
	r = start(t, s.sessions, "two", uri("Zebra"), args()...)
	r.says("INFO: waiting for Zebra of " + self.name + ": device or resource busy")
	p.set(func() { p.busy = false; p.held = true })
	p.holds(t)
	s.Client.Remove(id)
	require.Equal(t, statusRetryCurrent, r.status())
	r.says("INFO: Zebra of " + self.name + " has gone: the job begins anew")
	require.NotContains(t, r.stderr.String(), "offline-report\nINFO: waiting")
}

// TestPatience: CUPS is asked to begin anew before it loses patience, and at once to try
// another printer of the class.
func TestPatience(t *testing.T) {
	s := newSession(t)
	impatient := append(uri("Zebra"), impatientFor+"=1")
	require.Equal(t, statusRetryCurrent, start(t, s.sessions, "job", impatient, args()...).status())
	require.Equal(t, statusFailed, start(t, s.sessions, "job", append(uri("Zebra"), "CLASS=labels"), args()...).status())
	// A device of another kind, for instance a disk, is not written to.
	p, _ := s.plug("Zebra")
	info := filepath.Join(s.dir, "Zebra", "info.json")
	text, err := os.ReadFile(info)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(info, []byte(strings.Replace(string(text), `"printer"`, `"file"`, 1)), 0o600))
	r := start(t, s.sessions, "job", impatient, args()...)
	require.Equal(t, statusRetryCurrent, r.status())
	r.says("INFO: waiting for Zebra of " + self.name + ": it is not a printer, but of the kind file")
	require.Empty(t, p.text())
}

// TestSignals: CUPS's signal ends a write that the printer does not answer, and others do
// not: they would cancel it at the client.
func TestSignals(t *testing.T) {
	s := newSession(t)
	p, _ := s.plug("Zebra")
	p.set(func() { p.held = true })
	r := start(t, s.sessions, "job", uri("Zebra"), args()...)
	p.holds(t)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.cmd.Process.Pid))
	require.NoError(t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		require.NoError(t, unix.Tgkill(r.cmd.Process.Pid, tid, unix.SIGURG)) // as Go's runtime does
	}
	time.Sleep(50 * time.Millisecond) // for what must not happen
	p.holds(t)
	p.set(func() { require.Zero(t, p.cancelled) })
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, statusRetryCurrent, r.status())
	p.set(func() { require.Equal(t, 1, p.cancelled) })

	r = start(t, s.sessions, "job", uri("Other"), args()...)
	r.says("STATE: +offline-report")
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, statusRetryCurrent, r.status())
}

// TestRefused: what the printer does not take is an error, and the queue's to decide.
func TestRefused(t *testing.T) {
	s := newSession(t)
	p, _ := s.plug("Zebra")
	p.set(func() { p.refuse = pnp.ERROR_GEN_FAILURE })
	r := start(t, s.sessions, "job", uri("Zebra"), args()...)
	require.Equal(t, statusFailed, r.status())
	r.says("ERROR: writing to the printer: input/output error")
}

// TestWrongQueue: the queue stops, and the job stays.
func TestWrongQueue(t *testing.T) {
	for uri, says := range map[string]string{
		"":                            "it begins otherwise",
		"pnpdr:/root/Zebra":           "it begins otherwise",
		"pnpdr://root":                `"" is not a printer`,
		"pnpdr://root/../x":           `"../x" is not a printer`,
		"pnpdr://root/.files":         `".files" is not a printer`,
		"pnpdr://root/a%2fb":          `"a/b" is not a printer`,
		"pnpdr://root/a/b":            `"a/b" is not a printer`,
		"pnpdr://root/a%00b":          "control characters",
		"pnpdr://root/a%0Ab":          "control characters",
		"pnpdr://root/%ff":            "not UTF-8",
		"pnpdr://root/%":              "invalid URL escape",
		"pnpdr://root/a?b":            "a query",
		"pnpdr:///Zebra":              `"" is not a user`,
		"pnpdr://-s/Zebra":            `"-s" is not a user`,
		"pnpdr://ro%3aot/Zebra":       `"ro:ot" is not a user`,
		"pnpdr://nobody-like-it/Zeb":  "there is no user nobody-like-it",
		"pnpdr://0/Zebra":             "there is no user 0",
		"pnpdr://%2e%2e%2froot/Zebra": `"../root" is not a user`,
	} {
		r := start(t, t.TempDir(), "job", []string{"DEVICE_URI=" + uri}, args()...)
		require.Equal(t, statusStop, r.status(), uri)
		require.Regexp(t, "^ERROR: .*", r.stderr.String())
		require.Contains(t, r.stderr.String(), says)
		require.Equal(t, 1, strings.Count(r.stderr.String(), "\n"))
	}
}

func TestArguments(t *testing.T) {
	require.Equal(t, statusFailed, start(t, t.TempDir(), "", uri("Zebra"), "1", "2").status())
	require.Equal(t, statusFailed, start(t, t.TempDir(), "", uri("Zebra"), args("/nowhere")...).status())
	require.Equal(t, statusFailed, start(t, t.TempDir(), "", uri("Zebra"), "1", "u", "t", "0", "", "/dev/null").status())
}

func TestURI(t *testing.T) {
	for uri, d := range map[string]destination{
		"pnpdr://alice/Zebra":                 {"alice", "Zebra"},
		"pnpdr://alice%40example.com/Zebra-2": {"alice@example.com", "Zebra-2"},
		"pnpdr://EXAMPLE%5Calice/a%2Bb":       {`EXAMPLE\alice`, "a+b"},
		"pnpdr://alice/Etikett%C3%BC":         {"alice", "Etikettü"},
	} {
		got, err := parse(uri)
		require.NoError(t, err)
		require.Equal(t, d, got)
		require.Equal(t, uri, d.String())
	}
}
