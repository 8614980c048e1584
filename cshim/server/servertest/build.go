// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built keeps the libraries that BuildLibrary has made in this process, by
// source path. It keeps the bytes, since the file is deleted with its test.
var built struct {
	sync.Mutex
	libraries map[string][]byte
}

// BuildLibrary compiles a C file to a shared library, named name, in the test's
// temporary folder. It runs the compiler once per process and source.
func BuildLibrary(t testing.TB, source, name string) string {
	t.Helper()
	source, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), name)
	built.Lock()
	defer built.Unlock()
	if library := built.libraries[source]; library != nil {
		if err := os.WriteFile(target, library, 0o755); err != nil {
			t.Fatal(err)
		}
		return target
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror",
		"-o", target, source, "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("compiling %s: %v\n%s", source, err, out)
	}
	library, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if built.libraries == nil {
		built.libraries = make(map[string][]byte)
	}
	built.libraries[source] = library
	return target
}

// BuildPlugin builds the plugin as scripts/build does, with the Go build tags that
// choose FreeRDP's headers.
func BuildPlugin(target, tags string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-tags", "netgo,osusergo,"+tags,
		"-ldflags=-bindnow -extldflags=-Wl,--version-script=exports.map", "-o", target, "freerdp-pnpdr/plugin")
	cmd.Env = append(os.Environ(), "LIBRARY_PATH="+filepath.Join(root, "cshim", "client"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the plugin: %w\n%s", err, out)
	}
	return nil
}

func buildPreload(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return BuildLibrary(t, filepath.Join(root, "cshim", "preload", "pnpdr-preload.c"), "pnpdr-preload.so")
}

// moduleRoot returns the folder of go.mod: tests run in their package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("there is no go.mod above the working directory")
		}
		dir = parent
	}
}
