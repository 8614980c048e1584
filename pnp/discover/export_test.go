// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"testing"
	"time"
)

// SetPatience sets how long a device waits for udev.
func SetPatience(t *testing.T, d time.Duration) {
	before := patience
	patience = d
	t.Cleanup(func() { patience = before })
}

// SetRetryTime sets how long nobody looks after a look that failed.
func SetRetryTime(t *testing.T, d time.Duration) {
	before := retryTime
	retryTime = d
	t.Cleanup(func() { retryTime = before })
}

// SetDriverTime sets how long a driver has to take a USB interface.
func SetDriverTime(t *testing.T, d time.Duration) {
	before := driverTime
	driverTime = d
	t.Cleanup(func() { driverTime = before })
}
