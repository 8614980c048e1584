// SPDX-License-Identifier: Apache-2.0

// Package gadgettest makes USB devices for tests: gadgets that this kernel provides,
// with a virtual cable to its own host controller. The drivers at both ends are real;
// of a device that is a Program, the test is the firmware. It works as root in the
// virtual machine of scripts/vm.
package gadgettest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Gadget is a USB device with one function. It is unplugged at first.
type Gadget struct {
	t        testing.TB
	dir      string
	function string // its folder's name
	udc      string
}

// patience is a watchdog.
const patience = 20 * time.Second

// New makes a gadget with a function that the kernel knows ("acm") and that has the
// attributes given, and loads the drivers that its host needs. Elsewhere than in the
// virtual machine it skips the test.
func New(t testing.TB, function string, attributes map[string]string, drivers ...string) *Gadget {
	t.Helper()
	g := newGadget(t, function, "0", append(drivers, "usb_f_"+function))
	for name, value := range attributes {
		g.set("functions/"+g.function+"/"+name, value)
	}
	g.configure()
	return g
}

// newGadget makes a gadget with an instance of a function, which is not part of its
// configuration yet.
func newGadget(t testing.TB, function, instance string, drivers []string) *Gadget {
	t.Helper()
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: the kernel's drivers of USB devices, which scripts/vm/tests uses in a virtual machine")
	}
	load(t, append(drivers, "dummy_hcd", "libcomposite")...)
	udcs, err := os.ReadDir("/sys/class/udc")
	require.NoError(t, err)
	require.NotEmpty(t, udcs)
	g := &Gadget{t: t, dir: "/sys/kernel/config/usb_gadget/test", function: function + "." + instance, udc: udcs[0].Name()}
	t.Cleanup(g.remove)
	for _, dir := range []string{"strings/0x409", "configs/c.1", "functions/" + g.function} {
		require.NoError(t, os.MkdirAll(filepath.Join(g.dir, dir), 0o755))
	}
	g.set("idVendor", "0x1209")
	g.set("idProduct", "0x0002")
	return g
}

// configure makes the function part of the configuration.
func (g *Gadget) configure() {
	g.t.Helper()
	require.NoError(g.t, os.Symlink(filepath.Join(g.dir, "functions", g.function), g.configured()))
}

func load(t testing.TB, modules ...string) {
	t.Helper()
	out, err := exec.Command("modprobe", append([]string{"-a"}, modules...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	if _, err := os.Stat("/sys/kernel/config/usb_gadget"); err != nil {
		require.NoError(t, unix.Mount("none", "/sys/kernel/config", "configfs", 0, ""))
	}
}

func (g *Gadget) configured() string { return filepath.Join(g.dir, "configs/c.1", g.function) }

func (g *Gadget) set(file, value string) {
	g.t.Helper()
	require.NoError(g.t, os.WriteFile(filepath.Join(g.dir, file), []byte(value+"\n"), 0o644))
}

// Attribute returns an attribute of the function.
func (g *Gadget) Attribute(name string) string {
	g.t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, "functions", g.function, name))
	require.NoError(g.t, err)
	return strings.TrimSpace(string(b))
}

// Plug plugs the gadget in and waits for nodes, at either end.
func (g *Gadget) Plug(nodes ...string) {
	g.t.Helper()
	g.set("UDC", g.udc)
	for _, node := range nodes {
		require.Eventually(g.t, func() bool { _, err := os.Stat(node); return err == nil }, patience, time.Millisecond, node)
	}
}

// Unplug unplugs the gadget. The drivers may notice later.
func (g *Gadget) Unplug() { g.t.Helper(); g.set("UDC", "") }

func (g *Gadget) remove() {
	_ = os.WriteFile(filepath.Join(g.dir, "UDC"), []byte("\n"), 0o644) // it fails if nothing is plugged in
	// configfs insists on this order, and removes the other folders itself.
	at := func(path string) string { return filepath.Join(g.dir, path) }
	for _, path := range []string{g.configured(), at("configs/c.1"), at("functions/" + g.function), at("strings/0x409"), g.dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			g.t.Errorf("removing the gadget: %v", err)
		}
	}
}
