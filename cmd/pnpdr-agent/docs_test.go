// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/cmd/internal/cmdline/cmdlinetest"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/choose"
	"freerdp-pnpdr/pnp/present/folder"
)

const document = "docs/agent.md"

// TestDocumentedOutput prints what the examples of list and status show.
func TestDocumentedOutput(t *testing.T) {
	text := strings.ReplaceAll(devtest.Document(t, document), "\n   ", "\n") // in a list
	shows := func(print func(*bytes.Buffer)) {
		t.Helper()
		var out bytes.Buffer
		print(&out)
		if !strings.Contains(text, "```\n"+out.String()+"```\n") {
			t.Errorf("%s does not show\n%s", document, &out)
		}
	}
	device := func(name, dir, kind string, files string) folder.Status {
		return folder.Status{Folder: dir, Files: strings.Fields(files), Info: folder.Info{Name: name, Kind: kind}}
	}
	shows(func(out *bytes.Buffer) {
		printList(out, folder.Report{Folder: "/run/user/1000/pnpdr", Devices: []folder.Status{
			device("Ts Fake Device", "Ts_Fake_Device", "stream", "control data events"),
			device("Scale", "Scale", "serial", "control data events tty"),
		}})
	})
	card := device("card.img", "card.img", "file", "")
	card.Stats = present.Stats{Open: 1, Opened: 3, Read: present.OpStats{
		Requests: 1031, Bytes: 64 << 20,
		Median: 430 * time.Microsecond, P99: 2100 * time.Microsecond, Max: 11300 * time.Microsecond,
	}}
	since := time.Date(2026, 1, 5, 9, 12, 44, 0, time.Local)
	shows(func(out *bytes.Buffer) {
		printStatus(out, folder.Report{PID: 4711, Folder: "/run/user/1000/pnpdr", Connected: &since, Devices: []folder.Status{card}})
	})
}

// TestDocumentedJSON compares the names in what list and status print with those that the
// document explains.
func TestDocumentedJSON(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := launch(t, f)
	p.folders("Scale")
	out, status := p.ask("list", "--json")
	require.Zero(t, status, out)
	again, status := p.ask("status", "--json")
	require.Zero(t, status)
	require.Equal(t, out, again)
	p.stop()
	require.Equal(t, exitOK, p.status())

	// What only some devices and sessions have.
	names := []string{"problem", "container", "capabilities"}
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				names = append(names, name)
				collect(value)
			}
		case []any:
			for _, value := range v {
				collect(value)
			}
		}
	}
	var all any
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	collect(all)
	slices.Sort(names)

	_, paragraph, found := strings.Cut(devtest.Document(t, document), "print JSON with `--json`: ")
	require.True(t, found)
	paragraph, _, _ = strings.Cut(paragraph, "\n\n")
	var explained []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(paragraph, -1) {
		explained = append(explained, m[1])
	}
	slices.Sort(explained)
	require.Equal(t, slices.Compact(names), slices.Compact(explained))
}

// slow is a server that takes its time to join a session.
type slow struct{ insession.Server }

func (slow) Name() string                               { return "slow" }
func (slow) Inside(func(string) string) error           { return nil }
func (slow) Client(func(string) string) (string, error) { return "", nil }
func (slow) Join(ctx context.Context, _ func(string) string, _ *slog.Logger) (insession.Session, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestNotConnectedYet: the status always says why no client is connected.
func TestNotConnectedYet(t *testing.T) {
	p := newProgram(t, func(string) string { return "" })
	p.cli.servers = []insession.Server{slow{}}
	p.start()
	var r folder.Report
	p.until("status", func() bool {
		out, status := p.ask("status", "--json")
		return status == exitOK && json.Unmarshal([]byte(out), &r) == nil
	})
	require.Nil(t, r.Connected)
	require.NotEmpty(t, r.Problem)
	out, _ := p.ask("list")
	require.Equal(t, "no devices: "+r.Problem+"\n", out)
	p.stop()
	require.Equal(t, exitOK, p.status())
}

// TestDocumentedLimits: how many handles there are under xrdp, and how long a request is.
func TestDocumentedLimits(t *testing.T) {
	devtest.Documented(t, document, "after %s if another agent of the session is running", devtest.Words(newCLI().pace.patience))
	const handles, input = 14, 32747
	devtest.Documented(t, document, "Under xrdp, %d handles can be open at a time", handles)
	devtest.Documented(t, document, "Under xrdp a request of more than 32,747 bytes of input fails with 0x80070718")
	f := xrdptest.New(t, newClient(t, "Scale"))
	p := startProcess(t, f)
	p.wait("Scale")
	request := func(c *control, size int) uint32 {
		return c.request(loopback.IOCTL_ECHO, bytes.Repeat([]byte("x"), size))
	}
	first := p.connect()
	require.Zero(t, request(first, input))
	require.Equal(t, uint32(0x80070718), request(first, input+1))
	require.Zero(t, request(first, 1))
	for range handles - 1 {
		require.Zero(t, request(p.connect(), 1))
	}
	require.Equal(t, uint32(0x80070004), request(p.connect(), 1))
	p.end()
}

// TestDocumentedCommands: the options and commands of the documents exist.
func TestDocumentedCommands(t *testing.T) { cmdlinetest.Documented(t, newCLI().command()) }

// TestDocumentedWords: those of --only and --deny.
func TestDocumentedWords(t *testing.T) {
	_, sentence, found := strings.Cut(devtest.Document(t, document), "are those for what a client tells: ")
	require.True(t, found)
	sentence, _, _ = strings.Cut(sentence, ".")
	var words []string
	for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(sentence, -1) {
		words = append(words, m[1])
	}
	require.Equal(t, choose.Keys, words)
}
