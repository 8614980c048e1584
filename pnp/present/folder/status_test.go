// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestPublish(t *testing.T) {
	f := newFolder(t, Config{Session: ":7"})
	pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	_, err := Query(f.Dir())
	require.ErrorIs(t, err, ErrNotServed)
	now := time.Now().Round(0)
	answers := make(chan time.Time, 3)
	require.NoError(t, f.Publish(func() (time.Time, string) { return <-answers, "why" }))
	answers <- now
	got, err := Query(f.Dir())
	require.NoError(t, err)
	require.True(t, now.Equal(*got.Connected))
	require.Equal(t, Report{PID: os.Getpid(), Folder: f.Dir(), Session: ":7", Connected: got.Connected, Problem: "why", Devices: f.Devices()}, got)

	// One who does not read to the end, and one who does.
	answers <- time.Time{}
	idle, err := connect("unix", filepath.Join(f.Dir(), statusName))
	require.NoError(t, err)
	defer idle.Close()
	_, err = idle.Read(make([]byte, 1))
	require.NoError(t, err)
	answers <- time.Time{}
	got, err = Query(f.Dir())
	require.NoError(t, err)
	require.Nil(t, got.Connected)
	f.Close()
	require.NoFileExists(t, filepath.Join(f.Dir(), statusName))
	_, err = Query(f.Dir())
	require.ErrorIs(t, err, ErrNotServed)
	require.Error(t, f.Publish(nil))
}

// TestMarshal: a terminal acts on nothing of what is shown of a device.
func TestMarshal(t *testing.T) {
	const name = "a\x1b[31m\u009b31m\u202e\U000e0041 \u00a0größer 秤😀\n\x7f\ufffd\"<"
	text, err := Marshal(Info{Name: name})
	require.NoError(t, err)
	for _, r := range string(text) {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U in %s", r, text)
	}
	require.Contains(t, string(text), "größer 秤😀")
	var got Info
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, name, got.Name)
}
