// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"sync"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// members are the devices of a session, with their kinds. It is what a device may know
// of its session.
type members struct {
	devices Devices

	mu    sync.Mutex
	kinds map[uint32]string
}

var _ pnp.Session = (*members)(nil)

func newMembers(d Devices) *members { return &members{devices: d, kinds: make(map[uint32]string)} }

// add is Devices.AddAll for devices of a kind.
func (m *members) add(k *backend.Kind, devices []pnp.Device, own pnp.DeviceLimits) (ids []uint32, err error) {
	m.mu.Lock() // so that State knows the kind of each device
	defer m.mu.Unlock()
	ids, err = m.devices.AddAll(devices, own)
	for _, id := range ids {
		m.kinds[id] = k.Name
	}
	return ids, err
}

// remove is Devices.Remove for each of the ids.
func (m *members) remove(ids ...uint32) {
	for _, id := range ids {
		m.devices.Remove(id)
		m.mu.Lock()
		delete(m.kinds, id)
		m.mu.Unlock()
	}
}

// State implements pnp.Session. If nobody knows the state, nothing is redirected.
func (m *members) State() pnp.SessionState {
	s, ok := m.devices.(pnp.Session)
	if !ok {
		return pnp.SessionState{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	state := s.State()
	for i := range state.Devices {
		state.Devices[i].Kind = m.kinds[state.Devices[i].ID]
	}
	return state
}

// EndHandle implements pnp.Session.
func (m *members) EndHandle(id uint32) bool {
	s, ok := m.devices.(pnp.Session)
	return ok && s.EndHandle(id)
}
