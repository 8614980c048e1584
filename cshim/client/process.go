// SPDX-License-Identifier: Apache-2.0

package client

// #include "process.h"
import "C"

import "syscall"

// The process belongs to the client that loads the library. What Go changes of it
// when it starts is put back here, as far as Go can do without: before FreeRDP's
// first call, which waits until Go has started. docs/architecture.md says what
// stays changed.
func init() {
	restoreNofile()
	C.pnpdr_restore_sigpipe()
}

// restoreNofile puts back the soft limit of open files, which package syscall has
// raised to the hard one, or one less: FreeRDP uses select, which cannot wait for
// a descriptor beyond 1023. syscall.Setrlimit also has Go forget the old limit, so
// that it leaves that of programs it starts alone; the plugin starts none.
func restoreNofile() {
	before := uint64(C.pnpdr_soft_nofile())
	var now syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) != nil {
		return
	}
	if before > 0 && before < now.Cur && now.Cur >= now.Max-1 {
		now.Cur = before
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now) // lowering is always allowed
	}
}
