// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// twoReaders is a machine with one HID device, as discovery sees it.
type twoReaders struct {
	cfg  discover.Config
	file string // its report descriptor
}

func newTwoReaders(t testing.TB) *twoReaders {
	m := discovertest.New(t)
	p := m.Plug(discovertest.Gamepad())
	hid := filepath.Dir(filepath.Dir(p.Keys[0]))
	return &twoReaders{m.Config(), filepath.Join(m.Sys, hid, "report_descriptor")}
}

// agree fails the test if only one of the two readers understands a descriptor. It
// reports whether both do.
func (r *twoReaders) agree(t *testing.T, b []byte) bool {
	require.NoError(t, os.WriteFile(r.file, b, 0o600))
	found, err := discover.Scan(r.cfg)
	require.NoError(t, err)
	require.Len(t, found, 1)
	refused := strings.Contains(found[0].Excluded, "malformed")

	h, err := newMemoryFake(t, b).device(false).Open(acceptance.ReadWrite)
	if err == nil {
		h.Close(func() {})
	} else {
		require.ErrorIs(t, err, pnp.ERROR_NOT_SUPPORTED)
	}
	require.Equal(t, refused, err != nil, "%x: discovery says %q, the backend %v", b, found[0].Excluded, err)
	return err == nil
}

func TestDiscoveryAgrees(t *testing.T) {
	r := newTwoReaders(t)
	for _, s := range hidreporttest.Samples() {
		require.True(t, r.agree(t, s.Descriptor), s.Name)
	}
	for why, b := range hidreporttest.Malformed() {
		require.False(t, r.agree(t, b), why)
	}
	random := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		r.agree(t, hidreporttest.Random(random))
	}
}

func FuzzDiscoveryAgrees(f *testing.F) {
	r := newTwoReaders(f)
	for _, s := range hidreporttest.Samples() {
		f.Add(s.Descriptor)
	}
	for _, b := range hidreporttest.Malformed() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { r.agree(t, b) })
}
