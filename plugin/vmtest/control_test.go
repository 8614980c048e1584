// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// ioControlRules is the example of docs/devices.md, and the machine's clock.
const ioControlRules = `
[[rule]]
action  = "allow"
node    = "/dev/watchdog0"
backend = "char"
iocontrols = [
    "0x00222000 = 0x80285700 out",
    "0x00222004 = 0xC0045706 inout",
    "0x00222008 = 0x80045707 out",
    "0x0022200C = 0x80045705 none",
]

[[rule]]
action  = "allow"
node    = "/dev/rtc0"
backend = "char"
iocontrols = ["0x00222000 = 0x80247009 out"]  # RTC_RD_TIME
`

// testIOControls: the server sets a watchdog and reads the machine's clock, by ioctls
// that a rule maps, and by no others.
func testIOControls(t *testing.T, f *fixture) {
	out, err := exec.Command("modprobe", "softdog").CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() { _ = exec.Command("modprobe", "-r", "softdog").Run() })
	waitFor(t, "the watchdog", func() bool { _, err := os.Stat("/dev/watchdog0"); return err == nil })
	rules := filepath.Join(t.TempDir(), "rules.toml")
	require.NoError(t, os.WriteFile(rules, []byte(ioControlRules), 0o600))
	r := f.connect(t, "char:/dev/watchdog0,name:dog,char:/dev/rtc0,name:clock,config:"+rules)

	dog := r.open(r.added("dog"))
	support := r.control(dog, 0x222000, nil, 40)
	require.Contains(t, string(support[8:]), "Software Watchdog")
	require.Equal(t, u32s(120), r.control(dog, 0x222004, u32s(120), 4))
	require.Equal(t, u32s(120), r.control(dog, 0x222008, nil, 4))
	r.control(dog, 0x22200C, nil, 0)
	for _, code := range []uint32{0x222010, 0x80045707} {
		_, err := dog.IOControl(r.ctx, code, nil, make([]byte, 64))
		require.ErrorIs(t, err, pnp.ERROR_INVALID_FUNCTION)
	}
	n, err := dog.WriteAt(r.ctx, []byte("V"), 0) // lets it be closed without a reboot
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, dog.Close())

	clock := r.open(r.added("clock"))
	tm := r.control(clock, 0x222000, nil, 36) // struct rtc_time
	field := func(i int) int { return int(binary.LittleEndian.Uint32(tm[4*i:])) }
	now := time.Date(1900+field(5), time.Month(1+field(4)), field(3), field(2), field(1), field(0), 0, time.UTC)
	require.InDelta(t, time.Now().Unix(), now.Unix(), 24*3600)
	require.NoError(t, clock.Close())
	r.finish()
}
