// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/devtest/uhidtest"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// uhidKinds maps the kernel's kinds to ours.
var uhidKinds = map[uhidtest.Kind]hidreport.Kind{uhidtest.Feature: hidreport.Feature, uhidtest.Output: hidreport.Output, uhidtest.Input: hidreport.Input}

// uhid is a device in the real kernel that remembers what it receives.
type uhid struct {
	*uhidtest.Device
	t testing.TB

	// get answers GET_REPORT; nil does not answer.
	get func(k hidreport.Kind, id uint8) ([]byte, error)
	// silent leaves SET_REPORT without an answer.
	silent bool

	mu      sync.Mutex
	changed sync.Cond
	sent    []sent
	asked   int // number of GET_REPORT and SET_REPORT
}

// newUHID makes a device with a report descriptor. It skips the test if the kernel has no
// uhid.
func newUHID(t testing.TB, descriptor []byte, setup func(u *uhid)) *uhid {
	t.Helper()
	u := &uhid{t: t}
	u.changed.L = &u.mu
	if setup != nil {
		setup(u)
	}
	u.Device = uhidtest.Plug(t, uhidtest.Config{
		Name: "Test device", Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: descriptor,
		Write: func(report []byte) { u.record(&sent{"write", hidreport.Output, string(report)}, false) },
		Set: func(k uhidtest.Kind, report []byte) bool {
			u.record(&sent{"set", uhidKinds[k], string(report)}, true)
			return !u.silent
		},
		Get: func(k uhidtest.Kind, id byte) ([]byte, bool, error) {
			u.record(nil, true)
			if u.get == nil {
				return nil, false, nil
			}
			data, err := u.get(uhidKinds[k], id)
			return data, true, err
		},
	})
	return u
}

// record remembers a report, and counts a question.
func (u *uhid) record(s *sent, question bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if question {
		u.asked++
	}
	if s != nil {
		u.sent = append(u.sent, *s)
	}
	u.changed.Broadcast()
}

// received waits for n reports and returns them.
func (u *uhid) received(n int) []sent {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.sent) < n {
		u.changed.Wait()
	}
	return u.sent
}

// questions waits for n GET_REPORT or SET_REPORT.
func (u *uhid) questions(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.asked < n {
		u.changed.Wait()
	}
}

// device makes a Device of the node.
func (u *uhid) device(readOnly bool) *Device {
	d, err := New(backend.Source{Path: u.Node, Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(u.t, err)
	return d
}
