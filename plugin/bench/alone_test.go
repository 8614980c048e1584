// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"freerdp-pnpdr/cshim/server/servertest"
)

// solo is a client that is connected to a server of its own, which is written in
// C (testdata/server.c), until the test ends.
type solo struct {
	t        testing.TB
	client   *servertest.Client
	commands io.Writer
	answers  *bufio.Reader
}

// soloFixture starts clients of one version.
type soloFixture struct {
	t                testing.TB
	binary, display  string
	server           string
	certificate, key string
}

// newSoloFixture skips if the client or the headers of the major version are
// missing.
func newSoloFixture(t testing.TB, major int) *soloFixture {
	t.Helper()
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	dir := t.TempDir()
	f := &soloFixture{
		t:           t,
		binary:      servertest.RequireClient(t, major),
		display:     servertest.StartDisplay(t),
		server:      filepath.Join(dir, "server"),
		certificate: filepath.Join(dir, "certificate.pem"),
		key:         filepath.Join(dir, "key.pem"),
	}
	libraries := []string{fmt.Sprintf("freerdp%d", major), fmt.Sprintf("winpr%d", major)}
	flags, err := exec.Command("pkg-config", append([]string{"--cflags", "--libs"}, libraries...)...).Output()
	if err != nil {
		t.Skipf("NOT TESTED with FreeRDP %d: its headers are not installed", major)
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-Werror", "-o", f.server, filepath.Join("testdata", "server.c")}
	// As system headers: those of 3.15 have warnings of their own.
	args = append(args, strings.Fields(strings.ReplaceAll(string(flags), "-I", "-isystem"))...)
	if err := build(compiler(), args...); err != nil {
		t.Fatal(err)
	}
	f.identity()
	return f
}

// identity makes what the server needs for TLS.
func (f *soloFixture) identity() {
	f.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, file := range []struct {
		path, kind string
		bytes      []byte
	}{
		{f.certificate, "CERTIFICATE", certificate},
		{f.key, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.bytes})
		if err := os.WriteFile(file.path, text, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

// within returns the fixture for a test below, whose clients end with that.
func (f *soloFixture) within(t testing.TB) *soloFixture {
	inner := *f
	inner.t = t
	return &inner
}

// start starts a server, and a client with a plugin that redirects device.
func (f *soloFixture) start(plugin, device string) *solo {
	f.t.Helper()
	server := exec.Command(f.server, f.certificate, f.key)
	server.Env = append(os.Environ(), "WLOG_LEVEL=OFF")
	server.Stderr = os.Stderr
	commands, err := server.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	answers, err := server.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		f.t.Fatal(err)
	}
	s := &solo{t: f.t, commands: commands, answers: bufio.NewReader(answers)}
	watchdog := time.AfterFunc(10*time.Minute, func() { _ = server.Process.Kill() })
	f.t.Cleanup(func() {
		commands.Close()
		_ = server.Wait()
		watchdog.Stop()
	})
	s.client = servertest.StartClient(f.t, servertest.ClientOptions{
		Binary:  f.binary,
		Addr:    net.JoinHostPort("127.0.0.1", s.answer()),
		Display: f.display,
		Plugin:  plugin,
		Args:    []string{"/dvc:pnpdr," + device},
	})
	if got := s.answer(); got != "ready" {
		f.t.Fatalf("the server says %q", got)
	}
	return s
}

// answer returns what the server says next.
func (s *solo) answer() string {
	s.t.Helper()
	line, err := s.answers.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the server has ended: %v", err)
	}
	return strings.TrimSpace(line)
}

// measure has the server do one thing for some time.
func (s *solo) measure(w workload, length time.Duration) result {
	s.t.Helper()
	s.command(w, warmUp)
	spent := processorTime(s.t, s.client)
	n, took := s.command(w, length)
	return w.result(n, took, processorTime(s.t, s.client)-spent)
}

func (s *solo) command(w workload, length time.Duration) (n float64, took time.Duration) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.commands, w.command, w.size, w.outstanding, length.Milliseconds()); err != nil {
		s.t.Fatal(err)
	}
	var seconds float64
	if _, err := fmt.Sscan(s.answer(), &n, &seconds); err != nil {
		s.t.Fatal(err)
	}
	return n, time.Duration(seconds * float64(time.Second))
}

// The first moments are not measured, and what is measured is longer than with two
// clients at once: how Linux has spread the threads over the processors lasts for a
// while.
const (
	warmUp    = 50 * time.Millisecond
	longSlice = 3 * slice
)

// alone are the workloads with one client at a time, by the device: the loopback
// shows what the plugin itself costs, a file what a real device adds.
var alone = []struct {
	device    string
	workloads []workload
}{
	{loopbackDevice, []workload{
		{"read", 64, 1},
		{"read", 64, 64},
		{"control", 64, 1},
		{"open", 0, 1},
		{"read", 64 * kib, 1},
		{"read", 64 * kib, 8},
		{"read", mib, 1},
		{"write", 64 * kib, 1},
		{"write", 64 * kib, 8},
	}},
	{"file", []workload{
		{"read", 64, 1},
		{"open", 0, 1},
		{"read", 64 * kib, 1},
		{"write", 64 * kib, 1},
	}},
}

// BenchmarkAlone measures with one client at a time: the other one is idle.
func BenchmarkAlone(b *testing.B) {
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprintf("xfreerdp%d", major), func(b *testing.B) {
			f := newSoloFixture(b, major)
			plugin, baseline := requireLibraries(b)
			for _, a := range alone {
				device := a.device
				if device == "file" {
					device += ":" + makeFile(b)
				}
				b.Run(a.device, func(b *testing.B) {
					f := f.within(b)
					both := [2]*solo{f.start(plugin, device), f.start(baseline, device)}
					for _, w := range a.workloads {
						b.Run(w.name(), func(b *testing.B) {
							w.turns(b, func(who int) result { return both[who].measure(w, longSlice) })
						})
					}
				})
			}
		})
	}
}
