// SPDX-License-Identifier: Apache-2.0

package server

// -Wno-unused-parameter is for what cgo generates. What we write is compiled
// with -Werror by a test only, lest a compiler of the future refuse to build it.

// #cgo CFLAGS: -std=gnu11 -Wall -Wextra -Wno-unused-parameter
// #include "peer.h"
import "C"

import (
	"sync"
	"sync/atomic"
)

var initOnce = sync.OnceFunc(func() { C.rds_init() })

// Version tells the version of the FreeRDP library in use.
func Version() string {
	return C.GoString(C.rds_version())
}

// Counters tells what is alive in the process, over all servers.
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
