// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestProvider: the sample in Python is a device of the session while it runs.
func TestProvider(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	eachClient(t, func(t *testing.T, f *fixture) {
		socket := filepath.Join(t.TempDir(), "socket")
		c, r := f.connect("provider:" + socket + ",loopback")
		cmd := exec.Command(python, "../../docs/examples/provider.py", socket)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

		h := r.open("Thermometer")
		buf := make([]byte, 64)
		n, err := h.WriteAt(r.ctx, []byte("19.5"), 0)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		n, err = h.ReadAt(r.ctx, buf, 0)
		require.NoError(t, err)
		require.Equal(t, "19.5\n", string(buf[:n]))

		d := r.device("Thermometer")
		require.NoError(t, cmd.Process.Kill())
		<-d.Gone()
		_, err = r.open(fakeDevice).ReadAt(r.ctx, buf, 0)
		require.NoError(t, err, "nothing else is harmed")
		r.finish(c)
	})
}
