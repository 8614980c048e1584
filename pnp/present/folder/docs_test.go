// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/kinds"
	"freerdp-pnpdr/pnp/present/presenttest"
)

const document = "docs/agent.md"

// TestDocumentedExamples runs the examples of docs/agent.md that are for the loopback
// device, and for a file.
func TestDocumentedExamples(t *testing.T) {
	text := devtest.Document(t, document)
	example := func(language, part string) string {
		t.Helper()
		for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], part) {
				return m[1]
			}
		}
		t.Fatalf("no example of %s in %s", part, language)
		return ""
	}
	image := filepath.Join(t.TempDir(), "card.img")
	require.NoError(t, os.WriteFile(image, []byte("before"), 0o600))
	card, err := file.New(backend.Source{Path: image, Description: pnp.Description{Name: "card.img", HardwareIDs: []string{`PNPDR\FILE`}}})
	require.NoError(t, err)
	run := t.TempDir()
	f, err := New(filepath.Join(run, "pnpdr"), Config{Table: kinds.All(), Log: presenttest.Log(t)})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	presenttest.NewPair(t, server.Config{OnDevice: f.OnDevice}, loopback.New(loopback.DefaultDescription()), card)
	waitFor(t, f, "Ts_Fake_Device", "card.img")
	output := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+run, "LC_ALL=C")
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
	if _, err := exec.LookPath("cc"); err != nil {
		t.Log("the example in C is left out: there is no C compiler")
	} else {
		program := filepath.Join(run, "control")
		require.NoError(t, os.WriteFile(program+".c", []byte(aroundC(example("c", "struct pnpdr_ioctl"))), 0o600))
		require.Empty(t, output("cc", "-Wall", "-Wextra", "-Werror", "-o", program, program+".c"))
		require.Equal(t, "0 5 hello\n", output(program, filepath.Join(f.Dir(), "Ts_Fake_Device", "data")))
	}
	require.Regexp(t, `^\{\n  "name": "Ts Fake Device",(?s:.*)\n\}\nhello\n$`, output("sh", "-ec", example("sh", "cat info.json")))

	backup := []byte("the backup, which is longer")
	require.NoError(t, os.WriteFile(filepath.Join(run, "pnpdr", "card.img", "backup.img"), backup, 0o600))
	sum := sha256.Sum256([]byte("before"))
	require.Contains(t, output("sh", "-ec", example("sh", "sha256sum")), hex.EncodeToString(sum[:])+"  data\n")
	got, err := os.ReadFile(image)
	require.NoError(t, err)
	require.Equal(t, backup, got)
}

// aroundC makes a program of the example: a structure, and a call.
func aroundC(example string) string {
	structure, call, _ := strings.Cut(example, "};\n")
	return `
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#define N 16364
` + structure + `};
int main(int argc, char **argv)
{
	static struct pnpdr_ioctl request = {.code = 0x222440, .in_size = 5, .out_size = 5};
	int fd = open(argv[argc - 1], O_RDWR);
	memcpy(request.data, "hello", 5);
	if (` + strings.TrimRight(call, ";\n") + `) {
		perror("ioctl");
		return 1;
	}
	printf("%x %u %.*s\n", request.result, request.out_size, (int)request.out_size, (char *)request.data);
	return 0;
}
`
}

// TestDocumentedNumbers: the documents have the numbers of this package.
func TestDocumentedNumbers(t *testing.T) {
	thousands := func(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }
	for _, sentence := range []string{
		fmt.Sprintf("at most %d bytes of letters, digits and", maxName),
		fmt.Sprintf("There may be %d connections, and %d outstanding requests on each", maxConnections, maxRequests),
		fmt.Sprintf("how many bytes of output are wanted (IOControl only), %s at most", thousands(maxData)),
		fmt.Sprintf("of the IOControl, %s bytes at most", thousands(maxData)),
		fmt.Sprintf("less than %d bytes end the connection", requestHeader),
		fmt.Sprintf("it waits %s for it", devtest.Words(CancelWait)),
	} {
		devtest.Documented(t, document, "%s", sentence)
	}
	devtest.Documented(t, "docs/server.md", "| %d, with %d MiB of descriptions:", Limits.Devices, Limits.DescriptionBytes>>20)
	devtest.Documented(t, "docs/server.md", "| %d are remembered |", maxKnown)
}

// TestDocumentedEvent: the example is a line as events has it.
func TestDocumentedEvent(t *testing.T) {
	when := time.Date(2026, 1, 5, 9, 12, 44, 123456789, time.UTC)
	guid := loopback.DefaultDescription().Interfaces[0]
	devtest.Documented(t, document, "%s", eventLine(server.CustomEvent{Time: when, Event: pnp.Event{GUID: guid, Data: []byte{0x0a, 0x1b}}}))
}
