// SPDX-License-Identifier: Apache-2.0

// Benchtable prints the tables of docs/benchmarks.md from the output of "go test
// -bench" that scripts/bench leaves in a folder:
//
//	benchtable DIR MAJOR=VERSION...
//
// The versions are those of the clients.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// row is a benchmark with the values that its repetitions gave.
type row struct {
	name   string // without the number of processors
	values map[string][]float64
}

// median returns 0 if there is no such value.
func (r *row) median(unit string) float64 {
	v := slices.Sorted(slices.Values(r.values[unit]))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (r *row) has(unit string) bool { return len(r.values[unit]) > 0 }

var processors = regexp.MustCompile(`-\d+$`)

// parse reads the output of "go test -bench".
func parse(in io.Reader) ([]*row, error) {
	var rows []*row
	named := make(map[string]*row)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := processors.ReplaceAllString(fields[0], "")
		r := named[name]
		if r == nil {
			r = &row{name, make(map[string][]float64)}
			named[name] = r
			rows = append(rows, r)
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			r.values[fields[i+1]] = append(r.values[fields[i+1]], v)
		}
	}
	return rows, lines.Err()
}

func number(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// client splits the name of a benchmark that runs with each client, such as
// BenchmarkTogether/xfreerdp3/read_64_B_x1.
func client(name string, versions map[string]string) (version, rest string) {
	parts := strings.SplitN(name, "/", 3)
	return versions[strings.TrimPrefix(parts[1], "xfreerdp")], parts[2]
}

func sessionTable(title string, rows []*row, versions map[string]string) [][]string {
	table := [][]string{{title + "; outstanding requests", "unit", "FreeRDP", "plugin", "pure C", "ratio", "CPU plugin", "CPU pure C"}}
	for _, r := range rows {
		version, name := client(r.name, versions)
		name = strings.NewReplacer("/", ": ", "_x", ", ", "_", " ").Replace(name)
		unit := "ops/s"
		if r.has("C_MiB/s") {
			unit = "MiB/s"
		}
		table = append(table, []string{name, unit, version,
			number(r.median("plugin_" + unit)), number(r.median("C_" + unit)),
			fmt.Sprintf("%.2f", r.median("ratio")),
			number(r.median("plugin_cpu_us")), number(r.median("C_cpu_us"))})
	}
	return table
}

func memoryTable(rows []*row, versions map[string]string) [][]string {
	table := [][]string{{"resident memory, KiB", "FreeRDP", "plugin", "pure C"}}
	for _, r := range rows {
		version, _ := client(r.name, versions)
		for _, what := range [][2]string{
			{"idle, beyond a client without plugin", "idle"},
			{"1000 open handles, beyond idle", "handles"},
		} {
			table = append(table, []string{what[0], version,
				fmt.Sprintf("%.0f", r.median("plugin_"+what[1]+"_KiB")),
				fmt.Sprintf("%.0f", r.median("C_"+what[1]+"_KiB"))})
		}
	}
	return table
}

// agentTable has reads of a file through pnpdr-agent beside those through xrdp's own
// redirection of drives, and the serial port, which xrdp has nothing to compare with.
func agentTable(rows []*row, versions map[string]string) [][]string {
	table := [][]string{{"in a session of xrdp", "unit", "xrdp", "FreeRDP", "agent", "drive", "ratio"}}
	for _, r := range rows {
		// BenchmarkAgent/xrdp0.9.21/xfreerdp2/read_64_B,_in_order
		parts := strings.SplitN(r.name, "/", 4)
		line := []string{strings.ReplaceAll(parts[3], "_", " "), "", strings.TrimPrefix(parts[1], "xrdp"),
			versions[strings.TrimPrefix(parts[2], "xfreerdp")]}
		unit := "ops/s"
		switch {
		case r.has("agent_us"):
			table = append(table, append(line[:1], "µs", line[2], line[3], number(r.median("agent_us")), "", ""))
			continue
		case r.has("agent_MiB/s"):
			unit = "MiB/s"
		}
		line[1] = unit
		line = append(line, number(r.median("agent_"+unit)), "", "")
		if r.has("ratio") {
			line[5], line[6] = number(r.median("drive_"+unit)), fmt.Sprintf("%.2f", r.median("ratio"))
		}
		table = append(table, line)
	}
	return table
}

// serviceTable has calls of the Server Service beside what the link allows, and beside
// other ways to the same.
func serviceTable(rows []*row, versions map[string]string) [][]string {
	table := [][]string{{"Server Service", "unit", "FreeRDP", "device in memory", "transceived", "ratio", "written and read", "--pipe tcp:", "without RDP", "Samba"}}
	ways := []string{"memory", "transceive", "", "write_read", "bridge", "TCP", "Samba"}
	for _, r := range rows {
		version, name := client(r.name, versions)
		what, unit := "calls, one after another", "per s"
		switch name {
		case "lists":
			what, unit = "a list of 1000 shares", "ms"
		case "calls_away":
			what = "calls, 1 ms away"
		}
		line := []string{what, unit, version}
		for _, way := range ways {
			switch rate := r.median(way + "/s"); {
			case way == "":
				line = append(line, fmt.Sprintf("%.2f", r.median("ratio")))
			case rate == 0:
				line = append(line, "")
			case name == "lists":
				line = append(line, fmt.Sprintf("%.1f", 1000/rate))
			default:
				line = append(line, number(rate))
			}
		}
		table = append(table, line)
	}
	return table
}

func codecTable(rows []*row) [][]string {
	table := [][]string{{"message", "decode, ns", "encode, ns", "allocations"}}
	lines := make(map[string][]string)
	allocations := make(map[string]float64)
	for _, r := range rows {
		kind, message, _ := strings.Cut(r.name, "/")
		column := map[string]int{"BenchmarkDecode": 1, "BenchmarkEncode": 2}[kind]
		if column == 0 || message == "" {
			continue
		}
		line := lines[message]
		if line == nil {
			line = []string{message, "", "", ""}
			lines[message] = line
			table = append(table, line)
		}
		line[column] = fmt.Sprintf("%.0f", r.median("ns/op"))
		allocations[message] += r.median("allocs/op")
		line[3] = fmt.Sprintf("%.0f", allocations[message])
	}
	return table
}

// markdown writes a table in Markdown, the columns behind the first few to the
// right.
func markdown(out io.Writer, table [][]string, left int) {
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	rule := "|"
	for i, w := range widths {
		rule += strings.Repeat("-", w+1) + map[bool]string{true: "-|", false: ":|"}[i < left]
	}
	for n, line := range table {
		for i, cell := range line {
			if i < left {
				fmt.Fprintf(out, "| %-*s ", widths[i], cell)
			} else {
				fmt.Fprintf(out, "| %*s ", widths[i], cell)
			}
		}
		fmt.Fprintln(out, "|")
		if n == 0 {
			fmt.Fprintln(out, rule)
		}
	}
	fmt.Fprintln(out)
}

func run(out io.Writer, dir string, versions map[string]string) error {
	for _, t := range []struct {
		file string
		left int
		make func([]*row) [][]string
	}{
		{"alone.log", 2, func(r []*row) [][]string { return sessionTable("one client at a time", r, versions) }},
		{"together.log", 2, func(r []*row) [][]string { return sessionTable("two clients at once", r, versions) }},
		{"memory.log", 1, func(r []*row) [][]string { return memoryTable(r, versions) }},
		{"codec.log", 1, codecTable},
		{"service.log", 2, func(r []*row) [][]string { return serviceTable(r, versions) }},
		{"agent.log", 2, func(r []*row) [][]string { return agentTable(r, versions) }},
	} {
		f, err := os.Open(filepath.Join(dir, t.file))
		if err != nil {
			return err
		}
		rows, err := parse(f)
		f.Close()
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			markdown(out, t.make(rows), t.left)
		}
	}
	return nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: benchtable DIR MAJOR=VERSION...")
		os.Exit(2)
	}
	versions := make(map[string]string)
	for _, arg := range os.Args[2:] {
		major, version, _ := strings.Cut(arg, "=")
		versions[major] = version
	}
	if err := run(os.Stdout, os.Args[1], versions); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}
