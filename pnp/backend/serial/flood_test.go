// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// flood sends zeros from the other end as fast as it can, until the returned function
// is called.
func (o *opened) flood() (end func()) {
	var ended atomic.Bool
	var done sync.WaitGroup
	conn, err := o.master.SyscallConn()
	if err != nil {
		o.t.Fatal(err)
	}
	done.Add(1)
	go func() {
		defer done.Done()
		zeros := make([]byte, 4096)
		for !ended.Load() {
			_ = conn.Control(func(fd uintptr) { _, _ = retry(unix.Write, int(fd), zeros) })
		}
	}()
	return func() {
		ended.Store(true)
		done.Wait()
	}
}

// TestFlood: nothing waits for the end of a sender that never pauses.
func TestFlood(t *testing.T) {
	o := openBench(t)
	end := o.flood()
	defer end()
	for range 4 {
		o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_CONTROL, SERIAL_ERROR_CHAR, 0, 0)
		o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_CONTROL, SERIAL_NULL_STRIPPING, 0, 0)
	}
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXCLEAR)
	r := o.read(4) // only zeros arrive
	o.cancel(r)
	r.ends(pnp.ERROR_OPERATION_ABORTED, "")
}
