// SPDX-License-Identifier: Apache-2.0

package preloadtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// compile makes a program, or with -shared a library, from C.
func compile(t *testing.T, output, source string, args ...string) {
	t.Helper()
	cmd := exec.Command("cc", append(append([]string{"-Wall", "-Wextra", "-Werror", "-fPIC", "-o", output}, args...), source, "-ldl")...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// plugin writes a library that says its name when it is loaded.
func plugin(t *testing.T, path, name string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	compile(t, path, "testdata/plugin.c", "-shared", `-DNAME="`+name+`"`)
}

// TestPreload loads the plugin as FreeRDP does, from a path where there is none.
func TestPreload(t *testing.T) {
	dir := t.TempDir()
	client := filepath.Join(dir, "client")
	compile(t, client, "testdata/client.c")
	load := func(want, preload string, env []string, command ...string) {
		t.Helper()
		cmd := exec.Command("env", append(append([]string{"LD_PRELOAD=" + preload}, env...), append(command, client, "/none/libpnpdr-client.so")...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.Equal(t, want, string(out))
		require.NoError(t, err)
	}
	// missing is what is said where there is no plugin, by the library and the client.
	missing := func(path, more string) string {
		const says = ": cannot open shared object file: No such file or directory\n"
		return "libpnpdr-preload.so: " + path + says + more + path + says
	}
	built := func(path string) string {
		path = filepath.Join(dir, path, "libpnpdr-preload.so")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		compile(t, path, "../pnpdr-preload.c", "-shared")
		return path
	}

	preload := built("lib/freerdp-pnpdr")
	load(missing("/none/libpnpdr-client.so", "libpnpdr-preload.so: and there is no plugin in "+filepath.Dir(preload)+"\n"), preload, nil)
	load(missing("/none/x.so", ""), preload, []string{"PNPDR_PLUGIN=/none/x.so"})
	plugin(t, filepath.Join(dir, "lib/freerdp2/libpnpdr-client.so"), "freerdp2")
	load("freerdp2\n", preload, nil)
	plugin(t, filepath.Join(dir, "lib/freerdp3/libpnpdr-client.so"), "freerdp3")
	load("freerdp3\n", preload, nil)
	plugin(t, filepath.Join(dir, "lib/freerdp-pnpdr/libpnpdr-client.so"), "beside")
	load("beside\n", preload, nil)
	load("beside\n", preload, []string{"PNPDR_PLUGIN="})

	plugin(t, filepath.Join(dir, "a b/named.so"), "named")
	load("named\n", preload, []string{"PNPDR_PLUGIN=" + filepath.Join(dir, "a b/named.so")})

	// Started by other programs, and where the current folder changes.
	load("beside\n", preload, nil, "timeout", "60")
	load("beside\n", preload, nil, "sh", "-c", `"$@"; exit $?`, "sh", "env", "timeout", "60")
	load("beside\n", "lib/freerdp-pnpdr/libpnpdr-preload.so", []string{"CLIENT_FOLDER=/"})

	// A path with a blank in it takes a symbolic link.
	blank := built("with a blank")
	plugin(t, filepath.Join(filepath.Dir(blank), "libpnpdr-client.so"), "blank")
	require.NoError(t, os.Symlink(blank, filepath.Join(dir, "link.so")))
	load("blank\n", filepath.Join(dir, "link.so"), nil)
	require.NoError(t, os.Symlink(filepath.Dir(blank), filepath.Join(dir, "folder")))
	load("blank\n", filepath.Join(dir, "folder/libpnpdr-preload.so"), nil)
}
