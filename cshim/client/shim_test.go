// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eachMajor runs test with the compiler flags for the headers of each major
// version of FreeRDP that are installed.
func eachMajor(t *testing.T, test func(t *testing.T, flags []string)) {
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("freerdp%d", major), func(t *testing.T) {
			flags, err := headers(major)
			if err != nil {
				t.Skipf("NOT TESTED with FreeRDP %d: its headers are not installed", major)
			}
			test(t, flags)
		})
	}
}

// headers returns the compiler flags for the headers of one major version.
func headers(major int) ([]string, error) {
	flags, err := exec.Command("pkg-config", "--cflags", fmt.Sprintf("freerdp%d", major)).Output()
	// As system headers: those of 3.15 have warnings of their own.
	return strings.Fields(strings.ReplaceAll(string(flags), "-I", "-isystem")), err
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// TestABI: one binary serves all versions.
func TestABI(t *testing.T) {
	eachMajor(t, func(t *testing.T, flags []string) {
		run(t, "cc", append([]string{"-fsyntax-only", "-Wall", "-Wextra", "-Werror", "abicheck.c"}, flags...)...)
	})
}

// build compiles the C side for a test, under the sanitizers, against one major's
// headers.
func build(t testing.TB, test string, flags ...string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), test)
	args := []string{
		"-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror",
		"-Itestdata/stub", "-I.", "-o", program, "shim.c", "host.c", "process.c", "testdata/" + test + ".c",
	}
	run(t, "cc", append(append(args, flags...), "-ldl")...)
	return program
}

// TestShim runs the tests of the C side: use after close, empty writes, ends in
// every order, refusals, failures.
func TestShim(t *testing.T) {
	eachMajor(t, func(t *testing.T, flags []string) { run(t, build(t, "shim_test", flags...)) })
}

const fuzzPrograms = "PNPDR_TEST_SHIM_FUZZ"

// FuzzShim plays FreeRDP and Go to the C side.
func FuzzShim(f *testing.F) {
	const loaded, channel, data = "\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x02\x02\x02\x02\x02\x02", "\x03\x00\x00\x00\x00\x00", "\x0c\x00\x00\x00\x10\x04"
	f.Add([]byte(loaded + channel + data + "\x05\x00\x00\x00" + "\x08\x00\x00\x00"))
	f.Add([]byte(loaded + channel + "\x08\x00\x00\x00" + "\x09\x00\x00\x00\x10\x01" + data))
	f.Add([]byte(strings.Repeat(loaded+channel+data, 3)))
	// The processes that fuzz get what the first one has built.
	if os.Getenv(fuzzPrograms) == "" {
		var programs []string
		for _, major := range []int{2, 3} {
			if flags, err := headers(major); err == nil {
				programs = append(programs, build(f, "shim_fuzz", append(flags, "-rdynamic", "-Wl,--wrap=calloc")...))
			}
		}
		if len(programs) == 0 {
			f.Fatal("no headers of FreeRDP")
		}
		f.Setenv(fuzzPrograms, strings.Join(programs, ":"))
	}
	var shims []*shim
	for _, program := range strings.Split(os.Getenv(fuzzPrograms), ":") {
		shims = append(shims, &shim{program: program})
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		// The fuzzer does not see which of the C code it reaches, so it would
		// stay close to the inputs above: go on at random from each.
		hash := fnv.New64a()
		hash.Write(input)
		random := rand.New(rand.NewPCG(hash.Sum64(), 0))
		input = slices.Clone(input)
		for range random.IntN(300) {
			input = append(input, byte(random.Uint32()))
		}
		for _, s := range shims {
			s.try(t, input)
		}
	})
}

// shim is a process that runs testdata/shim_fuzz.c, which ends if it finds
// something, and when this one does.
type shim struct {
	program string
	cmd     *exec.Cmd
	in      io.Writer
	out     io.Reader
	stderr  *bytes.Buffer
}

func (s *shim) try(t *testing.T, input []byte) {
	if s.cmd == nil {
		s.cmd, s.stderr = exec.Command(s.program), new(bytes.Buffer)
		s.cmd.Stderr = s.stderr
		var err error
		s.in, err = s.cmd.StdinPipe()
		require.NoError(t, err)
		s.out, err = s.cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, s.cmd.Start())
	}
	_, err := s.in.Write(append(binary.NativeEndian.AppendUint32(nil, uint32(len(input))), input...))
	if err == nil {
		_, err = io.ReadFull(s.out, make([]byte, 1))
	}
	if err != nil {
		_ = s.cmd.Wait()
		s.cmd = nil
		t.Fatalf("%v\n%s", err, s.stderr)
	}
}
