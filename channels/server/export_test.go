// SPDX-License-Identifier: Apache-2.0

package server

// EventHandles returns how many handles of the device an event is expected on.
func (d *Device) EventHandles() int {
	d.copies.mu.Lock()
	defer d.copies.mu.Unlock()
	return len(d.copies.handles)
}
