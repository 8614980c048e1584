// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func inVM() bool { return os.Getenv("PNPDR_VM") != "" }

func TestMain(m *testing.M) {
	flag.Parse()
	err := error(nil)
	if inVM() {
		err = prepare()
	} else {
		// One test says why the tests are skipped, instead of each.
		err = flag.Set("test.run", "^TestMachine$")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prepare installs the plugin and loads what is needed to make devices.
func prepare() error {
	modules := []string{"-a", "fuse", "uhid", "dummy_hcd", "usb_f_acm", "usbmon"}
	if out, err := exec.Command("modprobe", modules...).CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe: %w\n%s", err, out)
	}
	for _, fs := range [][2]string{{"configfs", "/sys/kernel/config"}, {"debugfs", "/sys/kernel/debug"}} {
		if out, err := exec.Command("mount", "-t", fs[0], fs[0], fs[1]).CombinedOutput(); err != nil {
			return fmt.Errorf("mount: %w\n%s", err, out)
		}
	}
	return install()
}

// install puts the plugin where each FreeRDP looks for it.
func install() error {
	plugin := os.Getenv("PNPDR_PLUGIN")
	if plugin == "" {
		plugin = "../../out/libpnpdr-client.so"
	}
	library, err := os.ReadFile(plugin)
	if err != nil {
		return err
	}
	for _, name := range []string{"freerdp2", "freerdp3"} {
		found, _ := filepath.Glob("/usr/lib*/*/lib" + name + ".so.*")
		more, _ := filepath.Glob("/usr/lib*/lib" + name + ".so.*")
		for _, at := range append(found, more...) {
			dir := filepath.Join(filepath.Dir(at), name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "libpnpdr-client.so"), library, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestMachine checks what the other tests expect of the machine.
func TestMachine(t *testing.T) {
	if !inVM() {
		t.Skip("NOT TESTED: devices of a real kernel, which scripts/vm/tests uses in a virtual machine")
	}
	require.FileExists(t, "/run/udev/control", "udev does not run")
	require.NoError(t, machine(t).do("query-status", nil))
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	require.NotEmpty(t, udcs)
}
