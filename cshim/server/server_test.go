// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
)

func noSession(context.Context, *server.Peer) {}

func TestListenFails(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		addr string
		cfg  server.Config
	}{
		"no session":         {"127.0.0.1:0", server.Config{}},
		"bad address":        {"127.0.0.1:70000", server.Config{Session: noSession}},
		"bad certificate":    {"127.0.0.1:0", server.Config{Session: noSession, CertFile: bad, KeyFile: bad}},
		"missing files":      {"127.0.0.1:0", server.Config{Session: noSession, CertFile: bad + "x", KeyFile: bad}},
		"half of the files":  {"127.0.0.1:0", server.Config{Session: noSession, CertFile: bad}},
		"negative limit":     {"127.0.0.1:0", server.Config{Session: noSession, MaxMessage: -1}},
		"negative sum":       {"127.0.0.1:0", server.Config{Session: noSession, MaxMessages: -1}},
		"nobody":             {"127.0.0.1:0", server.Config{Session: noSession, Pending: -1}},
		"half of the files2": {"127.0.0.1:0", server.Config{Session: noSession, KeyFile: bad}},
	} {
		if s, err := server.Listen(test.addr, test.cfg); err == nil {
			t.Errorf("%s: Listen succeeds", name)
			s.Close()
		}
	}
}

// TestStrangers: peers that do not speak RDP, or say nothing at all, do not
// harm the server.
func TestStrangers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, err := server.Listen("127.0.0.1:0", server.Config{Session: noSession})
	if err != nil {
		t.Fatal(err)
	}
	negotiate := "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x01\x00\x00\x00"
	for _, words := range []string{
		"",
		"\x03",
		"GET / HTTP/1.0\r\n\r\n",
		strings.Repeat("\x03\x00\xff\xff", 20000),
		negotiate,                          // then silence instead of TLS
		negotiate + "\x16\x03\x01\x00\x01", // then half a TLS record
		negotiate + strings.Repeat("x", 100),
	} {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The server may hang up before everything is written.
		_, _ = conn.Write([]byte(words))
	}
	for server.Live().Peers < 3 { // those that wait stay connected for now
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error("second Close:", err)
	}
	if live := server.Live(); live != (server.Counters{}) {
		t.Errorf("alive after Close: %+v", live)
	}
}

// TestCertificateFiles serves with an RSA certificate from files.
func TestCertificateFiles(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("NOT TESTED: openssl is not installed")
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if out, err := exec.Command(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes",
		"-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", cert).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	eachClient(t, func(t *testing.T, f *fixture) {
		served := make(chan error, 1)
		s, err := server.Listen("127.0.0.1:0", server.Config{
			CertFile: cert,
			KeyFile:  key,
			Session: func(ctx context.Context, p *server.Peer) {
				served <- p.Open(ctx, channels.PNPDR, newEndpoint(t).attach)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c := servertest.StartClient(t, servertest.ClientOptions{
			Binary:  f.binary,
			Addr:    s.Addr().String(),
			Display: f.display,
			Plugin:  f.plugin,
			Args:    []string{"/dvc:pnpdr"},
		})
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-c.Done():
			t.Fatal("the client ended instead of connecting")
		}
	})
}

// TestPreload starts the client in ways that used to keep the plugin from
// loading.
func TestPreload(t *testing.T) {
	asan, err := exec.Command("cc", "-print-file-name=libasan.so").Output()
	if err != nil {
		t.Fatal(err)
	}
	eachClient(t, func(t *testing.T, f *fixture) {
		for name, o := range map[string]servertest.ClientOptions{
			"wrapper": {Wrapper: []string{"timeout", "60"}},
			"asan": {
				Preload: []string{strings.TrimSpace(string(asan))},
				Env:     []string{"ASAN_OPTIONS=detect_leaks=0:handle_segv=0"},
			},
		} {
			t.Run(name, func(t *testing.T) {
				if len(o.Preload) > 0 && !filepath.IsAbs(o.Preload[0]) {
					t.Skip("NOT TESTED: the compiler has no libasan")
				}
				o.Binary = f.binary
				o.Addr = f.server.Addr().String()
				o.Display = f.display
				o.Plugin = f.plugin
				o.Args = []string{"/dvc:pnpdr"}
				c := servertest.StartClient(t, o)
				select {
				case s := <-f.sessions:
					s.open(channels.PNPDR).echo([]byte(name))
					s.release()
				case <-c.Done():
					t.Fatal("the client ended instead of connecting")
				}
				c.Wait()
			})
		}
	})
}

// TestVersion also notices a build tag that had no effect.
func TestVersion(t *testing.T) {
	if v := server.Version(); !strings.HasPrefix(v, major+".") {
		t.Errorf("version %s, built for %s", v, major)
	}
}

// TestDoor runs the tests of the C code that looks at messages before FreeRDP
// does, under the sanitizers.
func TestDoor(t *testing.T) {
	program := filepath.Join(t.TempDir(), "door_test")
	out, err := exec.Command("cc", "-std=gnu11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-Wall", "-Wextra", "-Werror", "-I.", "-o", program, "door.c", "testdata/door_test.c").CombinedOutput()
	if err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestWarnings compiles our C for this version of FreeRDP. It must not cause
// warnings.
func TestWarnings(t *testing.T) {
	flags, err := exec.Command("pkg-config", "--cflags", "freerdp"+major, "winpr"+major).Output()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.c")
	if err != nil || len(sources) == 0 {
		t.Fatal("no sources:", err)
	}
	// FreeRDP's as system headers: those of 3.15 cause warnings.
	args := append([]string{"-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"},
		strings.Fields(strings.ReplaceAll(string(flags), "-I", "-isystem"))...)
	if out, err := exec.Command("cc", append(args, sources...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
