// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		// Three repetitions, and lines that are not results.
		"together.log": `cpu: some
BenchmarkTogether/xfreerdp2/read_64_B_x1-2 	 6	 1 ns/op	 60 C_cpu_us	 900 C_ops/s	 70 plugin_cpu_us	 3000 plugin_ops/s	 0.9 ratio
BenchmarkTogether/xfreerdp2/read_64_B_x1-2 	 6	 1 ns/op	 61 C_cpu_us	 901 C_ops/s	 71 plugin_cpu_us	 1000 plugin_ops/s	 1.1 ratio
BenchmarkTogether/xfreerdp2/read_64_B_x1-2 	 6	 1 ns/op	 62 C_cpu_us	 902 C_ops/s	 272 plugin_cpu_us	 2000 plugin_ops/s	 1.0 ratio
BenchmarkTogether/xfreerdp3/write_64_KiB_x8-2 	 6	 1 ns/op	 60 C_cpu_us	 99.96 C_MiB/s	 70 plugin_cpu_us	 12.34 plugin_MiB/s	 0.123 ratio
PASS
`,
		"alone.log":  "BenchmarkAlone/xfreerdp2/file/read_64_B_x1-2 6 1 ns/op 60 C_cpu_us 900 C_ops/s 70 plugin_cpu_us 450 plugin_ops/s 0.5 ratio\n",
		"memory.log": "BenchmarkMemory/xfreerdp3/resident-2 3 0 ns/op -44 C_idle_KiB 332 C_handles_KiB 4876 plugin_idle_KiB 1184 plugin_handles_KiB\n",
		"codec.log": `BenchmarkDecode/ReadReply-2 100 15.6 ns/op 0 B/op 0 allocs/op
BenchmarkDecode/Long-2 100 40 ns/op 8 B/op 1 allocs/op
BenchmarkEncode/ReadReply-2 100 6.4 ns/op 8 B/op 2 allocs/op
BenchmarkOther/ReadReply-2 100 6.4 ns/op
`,
		"service.log": `BenchmarkService/xfreerdp2/calls-2 20 29000 Samba/s 57000 TCP/s 4279 bridge/s 6197 memory/s 0.877 ratio 5438 transceive/s 2590 write_read/s
BenchmarkService/xfreerdp3/lists-2 20 1060 TCP/s 400 bridge/s 4000 memory/s 0.05 ratio 200 transceive/s 203.2 write_read/s
BenchmarkService/xfreerdp3/calls_away-2 20 500 bridge/s 520 memory/s 0.99 ratio 515 transceive/s 260 write_read/s
`,
		"agent.log": `BenchmarkAgent/xrdp0.9.21.1/xfreerdp3/read_64_B,_in_order-2 3 4677 agent_ops/s 5224 drive_ops/s 1.118 ratio
BenchmarkAgent/xrdp0.9.21.1/xfreerdp3/read_1_MiB,_in_order-2 3 33.28 agent_MiB/s 26.50 drive_MiB/s 1.256 ratio
BenchmarkAgent/xrdp0.9.21.1/xfreerdp3/serial_round_trip-2 3 1648 agent_us
`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var out strings.Builder
	require.NoError(t, run(&out, dir, map[string]string{"2": "2.11.7", "3": "3.10.3"}))
	require.Equal(t, strings.TrimLeft(`
| one client at a time; outstanding requests | unit  | FreeRDP | plugin | pure C | ratio | CPU plugin | CPU pure C |
|--------------------------------------------|-------|--------:|-------:|-------:|------:|-----------:|-----------:|
| file: read 64 B, 1                         | ops/s |  2.11.7 |    450 |    900 |  0.50 |       70.0 |       60.0 |

| two clients at once; outstanding requests | unit  | FreeRDP | plugin | pure C | ratio | CPU plugin | CPU pure C |
|-------------------------------------------|-------|--------:|-------:|-------:|------:|-----------:|-----------:|
| read 64 B, 1                              | ops/s |  2.11.7 |   2000 |    901 |  1.00 |       71.0 |       61.0 |
| write 64 KiB, 8                           | MiB/s |  3.10.3 |   12.3 |  100.0 |  0.12 |       70.0 |       60.0 |

| resident memory, KiB                 | FreeRDP | plugin | pure C |
|--------------------------------------|--------:|-------:|-------:|
| idle, beyond a client without plugin |  3.10.3 |   4876 |    -44 |
| 1000 open handles, beyond idle       |  3.10.3 |   1184 |    332 |

| message   | decode, ns | encode, ns | allocations |
|-----------|-----------:|-----------:|------------:|
| ReadReply |         16 |          6 |           2 |
| Long      |         40 |            |           1 |

| Server Service           | unit  | FreeRDP | device in memory | transceived | ratio | written and read | --pipe tcp: | without RDP | Samba |
|--------------------------|-------|--------:|-----------------:|------------:|------:|-----------------:|------------:|------------:|------:|
| calls, one after another | per s |  2.11.7 |             6197 |        5438 |  0.88 |             2590 |        4279 |       57000 | 29000 |
| a list of 1000 shares    | ms    |  3.10.3 |              0.2 |         5.0 |  0.05 |              4.9 |         2.5 |         0.9 |       |
| calls, 1 ms away         | per s |  3.10.3 |              520 |         515 |  0.99 |              260 |         500 |             |       |

| in a session of xrdp | unit  |     xrdp | FreeRDP | agent | drive | ratio |
|----------------------|-------|---------:|--------:|------:|------:|------:|
| read 64 B, in order  | ops/s | 0.9.21.1 |  3.10.3 |  4677 |  5224 |  1.12 |
| read 1 MiB, in order | MiB/s | 0.9.21.1 |  3.10.3 |  33.3 |  26.5 |  1.26 |
| serial round trip    | µs    | 0.9.21.1 |  3.10.3 |  1648 |       |       |

`, "\n"), out.String())

	require.ErrorIs(t, run(&out, t.TempDir(), nil), os.ErrNotExist)
}
