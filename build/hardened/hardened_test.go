// SPDX-License-Identifier: Apache-2.0

package hardened

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var dir string // what was built, once for all tests

func TestMain(m *testing.M) {
	code := m.Run()
	if dir != "" && dir != os.Getenv("PNPDR_BUILT") {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// built returns the folder of what is tested.
func built(t *testing.T) string {
	t.Helper()
	if dir == "" {
		dir = os.Getenv("PNPDR_BUILT")
	}
	if dir == "" {
		var err error
		dir, err = os.MkdirTemp("", "hardened")
		require.NoError(t, err)
		out, err := exec.Command("../../scripts/build", dir).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return dir
}

// resolver matches what libc offers to look up hosts, users and groups. It loads
// further libraries into the process for that, and reads their files.
var resolver = regexp.MustCompile(`^(getaddrinfo|getnameinfo|gai_|gethost|getserv|getproto|getnet|getpw|getgr|_*res_|dn_expand|initgroups)`)

func TestHardened(t *testing.T) {
	dir := built(t)
	for _, c := range []struct {
		file    string
		exports []string // of a library
		needs   string   // the libraries that it may be linked with
	}{
		{"libpnpdr-client.so", []string{"DVCPluginEntry"}, `libc\.so\.6|libdl\.so\.2|libpthread\.so\.0`},
		{"libpnpdr-preload.so", []string{"dlopen"}, `libc\.so\.6|libdl\.so\.2`},
		{"pnpdr", nil, `libc\.so\.6|libdl\.so\.2|libpthread\.so\.0`},
		{"pnpdr-server", nil, `lib(freerdp|winpr)[23]\.so\.[23]|libc\.so\.6|libpthread\.so\.0`},
	} {
		t.Run(c.file, func(t *testing.T) {
			f, err := elf.Open(filepath.Join(dir, c.file))
			require.NoError(t, err)
			defer f.Close()
			requireHardened(t, f)
			if c.exports == nil {
				require.NotZero(t, dynamic(t, f, elf.DT_FLAGS_1)&uint64(elf.DF_1_PIE), "PIE")
			} else {
				require.Equal(t, c.exports, exports(t, f))
			}
			imports, err := f.ImportedSymbols()
			require.NoError(t, err)
			for _, s := range imports {
				require.NotRegexp(t, resolver, s.Name)
			}
			libraries, err := f.ImportedLibraries()
			require.NoError(t, err)
			for _, l := range libraries {
				require.Regexp(t, "^("+c.needs+`|ld-linux.*)$`, l)
			}
		})
	}
}

// TestStatic: the agent needs nothing of the machine that it runs on, not even a loader.
func TestStatic(t *testing.T) {
	f, err := elf.Open(filepath.Join(built(t), "pnpdr-agent"))
	require.NoError(t, err)
	defer f.Close()
	requireNotWritableCode(t, f)
	for _, p := range f.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type)
		require.NotEqual(t, elf.PT_DYNAMIC, p.Type)
	}
}

// TestNoNetworkInThePlugin: nothing of it looks for hosts in any other way.
func TestNoNetworkInThePlugin(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "freerdp-pnpdr/plugin").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "\nfreerdp-pnpdr/pnp/discover\n")
	require.NotContains(t, string(out), "\nnet\n")
}

// requireHardened checks what any file can have: addresses that are chosen when it
// is loaded; tables of addresses that are filled in then, and read-only from
// then on; nothing that can be both written and executed.
func requireHardened(t *testing.T, f *elf.File) {
	t.Helper()
	require.Equal(t, elf.ET_DYN, f.Type)
	require.NotZero(t, dynamic(t, f, elf.DT_FLAGS)&uint64(elf.DF_BIND_NOW), "BIND_NOW")
	require.Zero(t, dynamic(t, f, elf.DT_FLAGS)&uint64(elf.DF_TEXTREL), "TEXTREL")
	requireNotWritableCode(t, f)
	var readOnly *elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_GNU_RELRO {
			readOnly = p
		}
	}
	require.NotNil(t, readOnly, "RELRO")
	tables := 0
	for _, s := range f.Sections {
		switch s.Name {
		case ".got", ".got.plt", ".data.rel.ro", ".dynamic", ".init_array":
			tables++
			require.True(t, readOnly.Vaddr <= s.Addr && s.Addr+s.Size <= readOnly.Vaddr+readOnly.Memsz, "%s is writable", s.Name)
		}
	}
	require.Greater(t, tables, 1)
}

// requireNotWritableCode checks that nothing can be both written and executed.
func requireNotWritableCode(t *testing.T, f *elf.File) {
	t.Helper()
	stack := false
	for _, p := range f.Progs {
		stack = stack || p.Type == elf.PT_GNU_STACK
		require.NotEqual(t, elf.PF_W|elf.PF_X, p.Flags&(elf.PF_W|elf.PF_X), "%v", p.ProgHeader)
	}
	require.True(t, stack, "a stack that is not executable")
}

// dynamic returns the entry of the dynamic section with a tag, 0 if there is none.
func dynamic(t *testing.T, f *elf.File, tag elf.DynTag) uint64 {
	t.Helper()
	values, err := f.DynValue(tag)
	require.NoError(t, err)
	if len(values) == 0 {
		return 0
	}
	return values[0]
}

// exports returns the names that other files can be linked with.
func exports(t *testing.T, f *elf.File) (names []string) {
	t.Helper()
	symbols, err := f.DynamicSymbols()
	require.NoError(t, err)
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_BIND(s.Info) != elf.STB_LOCAL {
			names = append(names, s.Name)
		}
	}
	return names
}
