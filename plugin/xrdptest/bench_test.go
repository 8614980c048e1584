// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

// reading is a way of reading a file.
type reading struct {
	Name   string
	Size   int
	Random bool
}

var readings = []reading{
	{"read 64 B, in order", 64, false},
	{"read 64 KiB, in order", 64 << 10, false},
	{"read 1 MiB, in order", 1 << 20, false},
	{"read 64 B, anywhere", 64, true},
	{"read 64 KiB, anywhere", 64 << 10, true},
}

const (
	benchSize     = 256 << 20
	benchSlice    = 300 * time.Millisecond
	benchVariable = "PNPDR_XRDP_BENCH"
)

// benchRTTs are the round trip times of a local network and of a distant one.
var benchRTTs = []time.Duration{time.Millisecond, 40 * time.Millisecond}

// slice is for how long to read in one go: for longer in order, as programs do that read
// a file, since reading ahead has to get going.
func (r reading) slice() time.Duration {
	if r.Random {
		return benchSlice
	}
	return 4 * benchSlice
}

// task is what the program in the session measures.
type task struct {
	reading
	Files [2]string // the agent's and the drive's
	Port  string
	Pairs int
}

// result is for each pair of slices operations per second, of the one file and the
// other.
type result [][2]float64

// BenchmarkAgent reads a file of the client's through the agent and through xrdp's own
// redirection of drives, in turn, and asks a meter on the client's serial port: on this
// machine, and with links between that take their time.
func BenchmarkAgent(b *testing.B) {
	if whyNot != "" {
		b.Skip(whyNot)
	}
	needAgent(b)
	version := xrdpVersion(b)
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprint("xrdp", version, "/xfreerdp", major), func(b *testing.B) {
			binary := servertest.RequireClient(b, major)
			x := startXrdp(b)
			dev := newClient(b)
			dev.card = benchFile(b)
			drive := "/drive:share," + filepath.Dir(dev.card)
			c, s := x.Connect(b, binary, xrdpserver.Alice, dev.args(), drive)
			s.StartAgent(b)
			s.WaitFor(b, "card/data", "meter/tty")
			benchmark(b, s, "", readings)
			b.Run("serial round trip", func(b *testing.B) {
				res := measure(b, s, task{Port: s.Devices() + "/meter/tty", Pairs: b.N})
				b.ReportMetric(1e6/res.median(func(p [2]float64) float64 { return p[0] }), "agent_us")
				b.ReportMetric(0, "ns/op")
			})
			direct := x.Addr
			for _, rtt := range benchRTTs {
				c.Kill()
				<-c.Done()
				xrdpserver.Eventually(b, func() bool {
					_, err := s.Try(b, "test ! -e card")
					return err == nil
				}, "the end of the session")
				x.Addr = servertest.Delayed(b, direct, rtt)
				c, _ = x.Connect(b, binary, xrdpserver.Alice, dev.args(), drive)
				s.WaitFor(b, "card/data")
				benchmark(b, s, fmt.Sprintf("%d ms away, ", rtt.Milliseconds()), readings[:4])
			}
		})
	}
}

// benchFile makes a file for the client where users have theirs, on a disk: of files in the
// tests' own /tmp, the plugin cannot read what is in the page cache without a thread.
func benchFile(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(agentPath()), "bench")
	require.NoError(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	f, err := os.Create(filepath.Join(dir, "card.img"))
	require.NoError(b, err)
	defer f.Close()
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{2}), benchSize)
	require.NoError(b, err)
	return f.Name()
}

// benchmark measures ways of reading.
func benchmark(b *testing.B, s *xrdpserver.Session, where string, readings []reading) {
	drive := s.Home() + "/thinclient_drives/share/card.img"
	if !hasDrive(b, s, drive) {
		drive = ""
	}
	for _, r := range readings {
		b.Run(where+r.Name, func(b *testing.B) {
			res := measure(b, s, task{reading: r, Files: [2]string{s.Devices() + "/card/data", drive}, Pairs: b.N})
			unit, scale := "ops/s", 1.0
			if r.Size >= 64<<10 {
				unit, scale = "MiB/s", float64(r.Size)/(1<<20)
			}
			b.ReportMetric(scale*res.median(func(p [2]float64) float64 { return p[0] }), "agent_"+unit)
			b.ReportMetric(0, "ns/op")
			if drive == "" {
				return
			}
			b.ReportMetric(scale*res.median(func(p [2]float64) float64 { return p[1] }), "drive_"+unit)
			b.ReportMetric(res.median(func(p [2]float64) float64 { return p[0] / p[1] }), "ratio")
		})
	}
}

// hasDrive reports whether xrdp shows the drive. xrdp 0.9.21 does not show those of
// FreeRDP, which waits for a message that this version does not send
// (RDPDR_USER_LOGGEDON_PDU).
func hasDrive(b *testing.B, s *xrdpserver.Session, file string) bool {
	b.Helper()
	for range 200 {
		if _, err := s.Try(b, "test -e "+file); err == nil {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Log("xrdp does not show the client's drive")
	return false
}

// xrdpVersion is what the server says that it is.
func xrdpVersion(b testing.TB) string {
	b.Helper()
	cmd := exec.Command("/usr/sbin/xrdp", "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: xrdpserver.Root}
	out, err := cmd.Output()
	require.NoError(b, err)
	m := regexp.MustCompile(`xrdp (\S+)`).FindSubmatch(out)
	require.NotNil(b, m, "%s", out)
	return string(m[1])
}

func (r result) median(of func([2]float64) float64) float64 {
	var values []float64
	for _, pair := range r {
		values = append(values, of(pair))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// measure runs this program in the session.
func measure(b *testing.B, s *xrdpserver.Session, t task) (r result) {
	b.Helper()
	text, err := json.Marshal(t)
	require.NoError(b, err)
	cmd := s.Command("/usr/bin/inside", "-test.run", "^TestMeasure$")
	cmd.Env = append(cmd.Env, inSession+"=1", benchVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)
	require.NoError(b, json.NewDecoder(bytes.NewReader(out)).Decode(&r), "%s", out)
	return r
}

// TestMeasure is the program of BenchmarkAgent.
func TestMeasure(t *testing.T) {
	text := os.Getenv(benchVariable)
	if text == "" {
		return
	}
	var it task
	require.NoError(t, json.Unmarshal([]byte(text), &it))
	r := make(result, it.Pairs)
	for i := range r {
		for n := range r[i] {
			which := (n + i) % 2
			var err error
			switch {
			case it.Port == "" && it.Files[which] == "":
			case it.Port == "":
				r[i][which], err = readSlice(it.reading, it.Files[which])
			case which == 0:
				r[i][which], err = askSlice(it.Port)
			}
			require.NoError(t, err)
		}
	}
	require.NoError(t, json.NewEncoder(os.Stdout).Encode(r))
}

// readSlice reads for a while, nothing of which is in the page cache.
func readSlice(how reading, path string) (perSecond float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, err
	}
	buf := make([]byte, how.Size)
	off := rand.Int64N(benchSize/2/(1<<20)) << 20
	n := 0
	begun := time.Now()
	for time.Since(begun) < how.slice() {
		if how.Random {
			off = rand.Int64N((benchSize-1<<20)>>12) << 12 // whole pages, as the kernel reads
		}
		if _, err := f.ReadAt(buf, off); err == io.EOF {
			off = 0
			continue
		} else if err != nil {
			return 0, err
		}
		off += int64(how.Size)
		n++
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

func askSlice(path string) (perSecond float64, err error) {
	tty, err := openRaw(path)
	if err != nil {
		return 0, err
	}
	defer tty.Close()
	buf := make([]byte, 64)
	n := 0
	begun := time.Now()
	for time.Since(begun) < benchSlice {
		if _, err := tty.WriteString("echo 1\n"); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(tty, buf[:2]); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}
