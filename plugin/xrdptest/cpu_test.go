// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
)

// BenchmarkProcessorTime reads 64 MiB in order, through the agent and through xrdp's own
// redirection of drives, and reports the milliseconds of processor time that each process
// takes for it. These hardly depend on how busy the machine is.
func BenchmarkProcessorTime(b *testing.B) {
	if whyNot != "" {
		b.Skip(whyNot)
	}
	needAgent(b)
	binary := servertest.RequireClient(b, 3)
	x := startXrdp(b)
	dev := newClient(b)
	dev.card = benchFile(b)
	c, s := x.Connect(b, binary, xrdpserver.Alice, dev.args(), "/drive:share,"+filepath.Dir(dev.card))
	a := s.StartAgent(b)
	s.WaitFor(b, "card/data")
	drive := s.Home() + "/thinclient_drives/share/card.img"
	if !hasDrive(b, s, drive) {
		b.Skip("there is nothing to compare with")
	}
	processes := map[string][]int{"agent": {a.Cmd.Process.Pid}, "client": {c.Pid()}}
	xrdpserver.EachProcess(func(p xrdpserver.Process) {
		if p.Name == "xrdp" || p.Name == "xrdp-chansrv" {
			processes[p.Name] = append(processes[p.Name], p.PID)
		}
	})
	for _, file := range []struct{ name, path string }{{"agent", "card/data"}, {"drive", drive}} {
		b.Run(file.name, func(b *testing.B) {
			took := make(map[string]int)
			for range b.N {
				s.Run(b, fmt.Sprintf("dd if=%s iflag=nocache count=0 status=none", file.path)) // empties the cache
				for name, pids := range processes {
					took[name] -= processorTime(b, pids)
				}
				s.Run(b, fmt.Sprintf("dd if=%s of=/dev/null bs=64K count=1024 status=none", file.path))
				for name, pids := range processes {
					took[name] += processorTime(b, pids)
				}
			}
			for name, ms := range took {
				b.ReportMetric(float64(ms)/float64(b.N), name+"_ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// processorTime returns the milliseconds of processor time that processes have taken.
func processorTime(b *testing.B, pids []int) (ms int) {
	b.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		require.NoError(b, err)
		const utime, stime = 11, 12 // behind the name; in 10 ms
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		for _, i := range []int{utime, stime} {
			n, err := strconv.Atoi(string(f[i]))
			require.NoError(b, err)
			ms += 10 * n
		}
	}
	return ms
}
