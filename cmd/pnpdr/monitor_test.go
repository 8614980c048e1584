// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// startMonitor runs pnpdr monitor. next returns its next line, end its status
// after it was interrupted.
func startMonitor(t *testing.T, tree *discovertest.Tree, args ...string) (next func() string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	status := make(chan int)
	var errs bytes.Buffer
	go func() {
		a := &app{kinds: kinds.All(), out: w, errs: &errs, listen: tree.Listen}
		s := a.run(ctx, roots(append([]string{"monitor"}, args...)...))
		w.Close()
		status <- s
	}()
	lines := bufio.NewScanner(r)
	return func() string {
			require.True(t, lines.Scan(), "%v %s", lines.Err(), &errs)
			return lines.Text()
		}, func() int {
			cancel()
			for lines.Scan() {
				t.Error("unexpected line:", lines.Text())
			}
			return <-status
		}
}

func TestMonitor(t *testing.T) {
	tree := machine(t)
	tree.Plug(discovertest.FTDI("A"))
	next, end := startMonitor(t, tree, "usb:0403:*")
	assert.Equal(t, "added    0403:6001  dev/ttyUSB0  FT232R USB UART  redirected: option usb:0403:*", next())
	tree.Plug(discovertest.Keyboard()) // is not listed
	p := tree.Plug(discovertest.ACM("7"))
	assert.Regexp(t, `^added    \S+  dev/ttyACM0  .*  not asked for: nothing asks for it$`, next())
	p.Unplug()
	assert.Regexp(t, `^removed  \S+  dev/ttyACM0  [^:]*$`, next())
	assert.Equal(t, exitOK, end())
}

func TestMonitorJSON(t *testing.T) {
	tree := machine(t)
	next, end := startMonitor(t, tree, "--json", "--all", "auto")
	event := func() (e jsonEvent) {
		d := json.NewDecoder(bytes.NewReader([]byte(next())))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&e))
		return e
	}
	p := tree.Plug(discovertest.Mouse())
	e := event()
	assert.Equal(t, "added", e.Event)
	assert.EqualValues(t, "not-eligible", e.Device.Verdict)
	assert.NotEmpty(t, e.Device.Excluded)
	key := e.Device.Key
	p.Unplug()
	e = event()
	assert.Equal(t, "removed", e.Event)
	assert.Equal(t, key, e.Device.Key)
	assert.Nil(t, e.Device.Access, "a removed device cannot be opened")
	assert.Equal(t, exitOK, end())
}

// TestMonitorWithoutReader ends with an error when nobody reads any more.
func TestMonitorWithoutReader(t *testing.T) {
	tree := machine(t)
	tree.Plug(discovertest.FTDI("A"))
	for _, args := range [][]string{{"monitor"}, {"monitor", "--json"}} {
		var errs bytes.Buffer
		a := &app{kinds: kinds.All(), out: brokenPipe{}, errs: &errs, listen: tree.Listen}
		assert.Equal(t, exitFailed, a.run(context.Background(), roots(args...)))
		assert.Contains(t, errs.String(), "broken pipe")
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
