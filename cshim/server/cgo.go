// SPDX-License-Identifier: Apache-2.0

package server

// -Wno-unused-parameter is for code that cgo generates. Only a test compiles
// our own with -Werror, so that a future compiler does not refuse to build it.

// #cgo CFLAGS: -std=gnu11 -Wall -Wextra -Wno-unused-parameter
// #include "peer.h"
import "C"

import (
	"sync"
	"sync/atomic"
)

var initOnce = sync.OnceFunc(func() { C.rds_init() })

// Version returns the version of the FreeRDP library in use.
func Version() string {
	return C.GoString(C.rds_version())
}

// Counters counts what is alive in the process, over all servers.
type Counters struct {
	Peers    int64 // clients with a thread
	Channels int64 // dynamic channels, open or being opened
	C        int64 // objects allocated through the C side
}

var livePeers, liveChannels atomic.Int64

// Live returns the counters: all zero once every Server is closed.
func Live() Counters {
	return Counters{
		Peers:    livePeers.Load(),
		Channels: liveChannels.Load(),
		C:        int64(C.rds_live()),
	}
}
