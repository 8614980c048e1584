// SPDX-License-Identifier: Apache-2.0

package cmake

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeFreeRDP makes a machine on which pkg-config finds nothing but a FreeRDP 3
// with these variables, and returns its root.
func fakeFreeRDP(t *testing.T, requires string, variables ...string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"freerdp3": strings.Join(variables, "\n") + "\nName: FreeRDP\nDescription: fake\nVersion: 3.4.5\nRequires: " + requires + "\n",
		"winpr3":   "Name: WinPR\nDescription: fake\nVersion: 3.4.5\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name+".pc"), []byte(text), 0o600))
	}
	t.Setenv("PKG_CONFIG_LIBDIR", root)
	t.Setenv("PKG_CONFIG_PATH", "")
	return root
}

// configure runs cmake without building anything.
func configure(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("cmake"); err != nil {
		t.Skip("cmake is not installed")
	}
	out, err := exec.Command("cmake", append([]string{"-S", "../..", "-B", t.TempDir()}, args...)...).CombinedOutput()
	return strings.Join(strings.Fields(string(out)), " "), err
}

// TestPluginFolder: pkg-config names it in newer releases, FreeRDP's CMake package
// in some, and otherwise it is below the library folder.
func TestPluginFolder(t *testing.T) {
	fakeFreeRDP(t, "", "libdir=/fake/lib", "plugindir=/fake/lib/x/../plugins")
	out, err := configure(t)
	require.NoError(t, err, out)
	require.Contains(t, out, "FreeRDP 3.4.5 loads plugins from /fake/lib/plugins ")

	root := fakeFreeRDP(t, "", "prefix=${pcfiledir}", "libdir=/fake/lib")
	out, err = configure(t)
	require.NoError(t, err, out)
	require.Contains(t, out, "FreeRDP 3.4.5 loads plugins from /fake/lib/freerdp3 ")

	dir := filepath.Join(root, "lib", "cmake", "FreeRDP3")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, text := range map[string]string{
		"FreeRDPConfig.cmake":        "set(FreeRDP_PLUGIN_DIR /fake/cmake)\n",
		"FreeRDPConfigVersion.cmake": "set(PACKAGE_VERSION 3.4.5)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	out, err = configure(t)
	require.NoError(t, err, out)
	require.Contains(t, out, "FreeRDP 3.4.5 loads plugins from /fake/cmake ")
}

// TestPkgConfigReason: headers that are installed but depend on a package that is
// not are not called missing.
func TestPkgConfigReason(t *testing.T) {
	const reason = "Package 'zlib', required by 'freerdp3', not found"
	fakeFreeRDP(t, "zlib", "libdir=/fake/lib")
	out, err := configure(t)
	require.Error(t, err)
	require.Contains(t, out, "The headers of FreeRDP 3 are installed, but cannot be used: "+reason)
	require.NotContains(t, out, "The headers of FreeRDP 2 are installed")
	require.Contains(t, out, "No FreeRDP headers that can be used: install freerdp3-dev (and zlib1g-dev) or freerdp2-dev. pkg-config says: "+reason)

	script, err := exec.Command("../../scripts/build", t.TempDir()).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(script), "the headers of FreeRDP 3 are installed, but cannot be used:\n  "+reason)
	require.NotContains(t, string(script), "the headers of FreeRDP 2 are installed")
	require.Regexp(t, regexp.MustCompile(`(?s)  Package 'freerdp2'.*no FreeRDP headers that can be used: install freerdp3-dev`), string(script))
}
