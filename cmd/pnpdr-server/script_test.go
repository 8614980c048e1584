// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

func TestParseLine(t *testing.T) {
	for line, want := range map[string][]word{
		"list":                                  nil,
		"\t wait-device  #12 \t 90 ":            {"#12", "90"},
		`open "Ts Fake Device" as h access=0x1`: {`"Ts Fake Device"`, "as", "h", "access=0x1"},
		`write h 0x10 hex:00+"a b"`:             {"h", "0x10", `hex:00+"a b"`},
		"read\th 0 16":                          {"h", "0", "16"},
		`read h 0 16 expect "\" #"`:             {"h", "0", "16", "expect", `"\" #"`},
		`shell echo "# not a comment`:           {`echo "# not a comment`},
		`echo it's "quoted"`:                    {`it's "quoted"`},
	} {
		st, err := parseLine(line)
		require.NoError(t, err, line)
		require.Equal(t, want, st.args, line)
		require.Nil(t, st.inner)
	}
	for _, line := range []string{"", "  \t", "# list", "\t# 'list"} {
		st, err := parseLine(line)
		require.NoError(t, err)
		require.Nil(t, st)
	}
}

func TestParseNested(t *testing.T) {
	st, err := parseLine(`start r1 read h 0 16 expect "x y"`)
	require.NoError(t, err)
	require.Equal(t, []word{"r1"}, st.args)
	require.Equal(t, "read", st.inner.cmd.name)
	require.Equal(t, []word{"h", "0", "16", "expect", `"x y"`}, st.inner.args)

	st, err = parseLine("expect-error closed wait r1")
	require.NoError(t, err)
	require.Equal(t, "wait", st.inner.cmd.name)
}

func TestParseRejects(t *testing.T) {
	for line, want := range map[string]string{
		"lst":                          `there is no command "lst"`,
		"list now":                     "usage: list",
		"read h 0":                     "usage: read HANDLE",
		"read h 0 16 expect":           "usage: read HANDLE",
		`read h 0 16 expects "x"`:      "usage: read HANDLE",
		`open "Ts Fake`:                "a quote is not closed",
		"open x is h":                  "usage: open DEVICE as HANDLE",
		"open x as":                    "usage: open DEVICE as HANDLE",
		"start r1":                     "usage: start NAME",
		"start":                        "usage: start NAME",
		"start r1 # nothing":           "usage: start NAME",
		"start r1 list":                "list cannot follow start",
		"start r1 read h":              "usage: read HANDLE",
		"expect-error closed shell ls": "shell cannot follow",
		"expect-error closed start r1 read h 0 1": "start cannot follow",
		"shell": "usage: shell",
	} {
		_, err := parseLine(line)
		require.ErrorContains(t, err, want, line)
	}
}

func TestParseScript(t *testing.T) {
	script, err := parseScript(strings.NewReader("# A script.\n\nlist\r\n\necho Bye"))
	require.NoError(t, err)
	require.Len(t, script, 2)
	require.Equal(t, 3, script[0].line)
	require.Equal(t, 5, script[1].line)

	_, err = parseScript(strings.NewReader("list\nlost\n"))
	require.ErrorContains(t, err, "line 2: there is no command")
}

func TestData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a + b")
	require.NoError(t, os.WriteFile(file, []byte("contents"), 0o600))
	guid := pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}")
	for w, want := range map[word]string{
		`""`:                                "",
		`"a+b\n\x00"`:                       "a+b\n\x00",
		"hex:":                              "",
		"hex:00fF":                          "\x00\xff",
		"u32:0xFFFFFFFE":                    "\xfe\xff\xff\xff",
		"zero:3":                            "\x00\x00\x00",
		word("guid:" + guid.String()):       string(guid[:]),
		word(`file:"` + file + `"`):         "contents",
		`"a"+hex:62+"c"`:                    "abc",
		word(`"<"+file:"` + file + `"+">"`): "<contents>",
	} {
		got, err := w.data()
		require.NoError(t, err, string(w))
		require.Equal(t, want, string(got), string(w))
	}
	for w, want := range map[word]string{
		"":                  "is not data",
		"text":              "is not data",
		`"a"+`:              "is not data",
		`"a"b`:              "not a text in quotes",
		"hex:0":             "odd length",
		"u32:-1":            "not a number",
		"u32:4096M":         "not a number",
		"zero:65M":          "too many",
		"zero:64M+\"\x00\"": "more than",
		"guid:1":            "GUID",
		"file:/none/x":      "no such file",
	} {
		_, err := w.data()
		require.ErrorContains(t, err, want, string(w))
	}
}

func TestRandomIsTheSameEachTime(t *testing.T) {
	a, b := random(1001), random(17)
	require.Len(t, a, 1001)
	require.Equal(t, a[:17], b)
	require.Empty(t, random(0))
}

func TestNumber(t *testing.T) {
	for w, want := range map[word]uint64{"0": 0, "12": 12, "0x20": 32, "64K": 65536, "2M": 2 << 20, "0xFFFFFFFFFFFFFFFF": 1<<64 - 1} {
		n, err := w.number(64)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, w := range []word{"", "K", "-1", "1.5", "x", "0x10000000000000000", "18014398509481984K"} {
		_, err := w.number(64)
		require.Error(t, err, string(w))
	}
	_, err := word("4194304K").number(32)
	require.Error(t, err)
}

// TestHelp checks that every command says what it is for and how it is used.
func TestHelp(t *testing.T) {
	text := strings.Join(scriptHelp(), "\n")
	for _, c := range commands() {
		require.Contains(t, text, c.String())
		require.NotEmpty(t, c.about)
		require.True(t, (c.run == nil) != (c.io == nil), c.name)
	}
	for _, line := range scriptHelp() {
		require.LessOrEqual(t, len(line), 90, line)
	}
}
