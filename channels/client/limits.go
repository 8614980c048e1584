// SPDX-License-Identifier: Apache-2.0

package client

const (
	// These bound the calls that may block, and so the number of threads: Go
	// ends the process at 10000. Each device gets at least one slot.
	deviceSlots  = 32
	sessionSlots = 256

	// announceBytes is the size of descriptions at which a Client Device
	// Addition is sent and another one begun.
	announceBytes = 64 << 10
)
