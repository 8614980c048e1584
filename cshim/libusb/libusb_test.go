// SPDX-License-Identifier: Apache-2.0

package libusb

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/backend/image"
)

// TestABI compares the declarations with the header of the libusb that is installed.
func TestABI(t *testing.T) {
	const header = "/usr/include/libusb-1.0/libusb.h"
	if _, err := os.Stat(header); err != nil {
		t.Skipf("NOT TESTED: %s is missing (libusb-1.0-0-dev)", header)
	}
	out, err := exec.Command("cc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "testdata/abicheck.c").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestTimeouts: a long one does not become a short one.
func TestTimeouts(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		0: 0, 1: 1, time.Second: 1000,
		math.MaxUint32 * time.Millisecond: math.MaxUint32,
		math.MaxUint32 * time.Second:      math.MaxUint32,
	} {
		require.EqualValues(t, want, milliseconds(d), d)
	}
}

// TestNoDevice: a descriptor that is no USB device's is refused.
func TestNoDevice(t *testing.T) {
	null, err := os.Open("/dev/null")
	require.NoError(t, err)
	defer null.Close()
	_, err = USB{}.Claim(int(null.Fd()), 0)
	require.Error(t, err)
	require.NotErrorIs(t, err, image.ErrInUse)
}

// TestWithoutLibrary: where libusb is missing, opening a device says what to install. In
// a mount namespace, an empty file hides the library.
func TestWithoutLibrary(t *testing.T) {
	if os.Getenv("PNPDR_WITHOUT_LIBUSB") != "" {
		_, err := USB{}.Claim(0, 0)
		require.ErrorContains(t, err, "libusb is missing (on Debian: apt install libusb-1.0-0): ")
		_, again := USB{}.Claim(0, 0)
		require.Equal(t, err, again)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can hide the library")
	}
	libraries, err := filepath.Glob("/usr/lib/*/libusb-1.0.so.0")
	require.NoError(t, err)
	const script = `for f in "$@"; do mount --bind /dev/null "$f" || exit 77; done
exec "$test" -test.run '^TestWithoutLibrary$' -test.v`
	cmd := exec.Command("unshare", append([]string{"--mount", "--", "sh", "-c", script, "sh"}, libraries...)...)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd.Env = append(os.Environ(), "PNPDR_WITHOUT_LIBUSB=1", "test="+self)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		t.Skipf("NOT TESTED: mounting is not allowed here: %s", out)
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestWithoutLibrary")
}

// TestWake: what waits for transfers is woken, although another thread handles libusb's events.
func TestWake(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wake_test")
	out, err := exec.Command("cc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o", program, "testdata/wake_test.c", "-ldl", "-lpthread").CombinedOutput()
	require.NoError(t, err, "%s", out)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // where it hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "20000")
	out, err = cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
		t.Skipf("NOT TESTED: libusb is missing: %s", out)
	}
	require.NoError(t, err, "%s", out)
}
