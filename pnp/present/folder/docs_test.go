// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// TestDocumentedExamples runs the examples of docs/agent.md that are for the loopback
// device.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../../../docs/agent.md")
	require.NoError(t, err)
	example := func(language, part string) string {
		t.Helper()
		for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], part) {
				return m[1]
			}
		}
		t.Fatalf("no example of %s in %s", part, language)
		return ""
	}
	run := t.TempDir()
	f, err := New(filepath.Join(run, "pnpdr"), Config{Table: plain, Log: presenttest.Log(t)})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	presenttest.NewPair(t, server.Config{OnDevice: f.OnDevice}, loopback.New(loopback.DefaultDescription()))
	waitFor(t, f, "Ts_Fake_Device")
	output := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+run)
		cmd.Dir = run
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}

	if _, err := exec.LookPath("python3"); err != nil {
		t.Log("the example of the control socket is left out: python3 is not installed")
	} else {
		require.Equal(t, "b'hello'\n", output("python3", "-c", example("python", "SOCK_SEQPACKET")))
	}
	if f.files == nil {
		t.Skip("there is no FUSE here; the log says why")
	}
	if _, err := exec.LookPath("python3"); err == nil {
		require.Equal(t, "0x0 b'hello'\n", output("python3", "-c", example("python", "fcntl")))
	}
	require.Regexp(t, `^\{\n  "name": "Ts Fake Device",(?s:.*)\n\}\nhello\n$`, output("sh", "-ec", example("sh", "cat info.json")))
}
