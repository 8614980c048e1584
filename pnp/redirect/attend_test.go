// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/provide"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// TestProvider: the device of a provider comes and goes with its process, describes
// itself, and is called what the user calls it.
func TestProvider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "provider")
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	begin := func() (end func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- provide.Device(ctx, path, loopback.New(loopback.DefaultDescription()), quiet) }()
		return func() { cancel(); require.NoError(t, <-ended) }
	}
	m := newMachine(t)
	m.start("", "", "provider:"+path, "name:Meter", "container:{11111111-2222-3333-4444-555555555555}")
	require.Contains(t, m.s.summary(), "not redirected: provider:"+path+" (it is not there")
	for range 2 {
		end := begin()
		require.Equal(t, "+Meter", m.event())
		d := m.remote.Devices()[0].Description()
		require.Equal(t, loopback.DefaultDescription().HardwareIDs, d.HardwareIDs)
		require.Equal(t, pnp.MustGUID("{11111111-2222-3333-4444-555555555555}"), *d.Container)
		require.Contains(t, m.s.summary(), "redirecting provider:"+path)
		end()
		require.Equal(t, "-Meter", m.event())
	}
	// A session ends whatever its provider does.
	defer begin()()
	require.Equal(t, "+Meter", m.event())
}

// TestProviderIsJudged: the administrator's rules are about a provider's socket.
func TestProviderIsJudged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "provider")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	go func() { ended <- provide.Device(ctx, path, loopback.New(loopback.DefaultDescription()), quiet) }()
	require.Eventually(t, func() bool { return watch.Present(path) }, time.Minute, time.Millisecond)
	defer func() { cancel(); require.NoError(t, <-ended) }()
	for admin, denied := range map[string]bool{
		"default = \"deny\"\n": true,
		"[[rule]]\naction = \"deny\"\nhardware-id = 'PNPDR\\PROVIDER'\n": true,
		"[[rule]]\naction = \"deny\"\nnode = \"" + path + "\"\n":         true,
		"[[rule]]\naction = \"deny\"\nvid = \"0403\"\n":                  false,
	} {
		m := newMachine(t)
		m.start(admin, "", "provider:"+path)
		if !denied {
			require.Equal(t, "+Ts Fake Device", m.event())
			continue
		}
		<-m.s.started
		require.Contains(t, m.s.summary(), "the administrator denies it", admin)
	}
}

// TestOwner: a process of somebody else needs a rule.
func TestOwner(t *testing.T) {
	me, other := uint32(os.Geteuid()), uint32(os.Geteuid())+1
	check := owner(&rules.Decision{})
	require.NoError(t, check(me))
	require.NoError(t, check(0))
	err := check(other)
	require.ErrorIs(t, err, pnp.ERROR_ACCESS_DENIED)
	require.ErrorContains(t, err, "a rule that allows the socket's node lets it")
	require.NoError(t, owner(&rules.Decision{Allowed: true})(other))

	path := filepath.Join(t.TempDir(), "socket")
	for text, allowed := range map[string]bool{
		"": false,
		"[[rule]]\naction = \"allow\"\nnode = \"" + path + "\"\n": true,
		"[[rule]]\naction = \"allow\"\nnode = \"/other\"\n":       false,
		"default = \"allow\"\n":                                   false,
	} {
		m := newMachine(t)
		m.start(text, "", "provider:"+path)
		n := m.s.named[0]
		decision := m.s.policy.DecideNamed(n.Named, path, nil)
		require.Equal(t, allowed, decision.Allowed, text)
	}
}
