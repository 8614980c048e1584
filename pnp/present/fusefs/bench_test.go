// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	filebackend "freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/ahead"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// BenchmarkFile copies a file of 64 MiB from and to a client, over links with and without
// delay, with and without read-ahead and write-behind.
func BenchmarkFile(b *testing.B) {
	needFUSE(b)
	const size = 64 << 20
	for _, trip := range []time.Duration{0, 40 * time.Millisecond} {
		for _, budget := range []int64{0, sessionBudget} {
			b.Run(fmt.Sprintf("trip=%v/budget=%d", trip, budget), func(b *testing.B) {
				dir := b.TempDir()
				local := filepath.Join(dir, "disk")
				require.NoError(b, os.WriteFile(local, make([]byte, size), 0o600))
				d, err := filebackend.New(backend.Source{Path: local, Description: pnp.Description{Name: "disk"}})
				require.NoError(b, err)
				s := newNetwork(b, trip/2, d)
				f, err := Mount(filepath.Join(dir, "mnt"), presenttest.Log(b))
				require.NoError(b, err)
				b.Cleanup(func() { require.NoError(b, f.Close()) })
				f.budget = ahead.NewBudget(budget)
				dev := theDevice(b, s, randomKind)
				f.Add(dev, Shape{Data: present.RandomAccess})
				data := filepath.Join(f.Path(), "disk", "data")
				for _, c := range []struct {
					name string
					args []string
				}{
					{"read", []string{"dd", "if=" + data, "of=/dev/null", "bs=128k", "status=none"}},
					{"write", []string{"dd", "if=/dev/zero", "of=" + data, "bs=128k", "count=512", "conv=notrunc,fsync", "status=none"}},
				} {
					b.Run(c.name, func(b *testing.B) {
						b.SetBytes(size)
						for range b.N {
							out, err := exec.Command(c.args[0], c.args[1:]...).CombinedOutput()
							require.NoError(b, err, string(out))
						}
					})
				}
			})
		}
	}
}
