// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/present/internal/port"
)

// TestBoundedItems: while the client takes nothing, a program that changes the settings and
// flushes again and again does not make the agent keep more and more. What data is sent with
// stays what it was.
func TestBoundedItems(t *testing.T) {
	var s session
	baud := func(b uint32) item { return item{settings: &port.Settings{Baud: b}} }
	change := func(from uint32) {
		for i := from; i < from+1000; i++ {
			s.put(baud(i))
			s.put(item{flush: uint64(i)})
		}
	}
	change(1)
	s.put(item{data: []byte("a")})
	s.put(item{data: []byte("b")})
	change(2001)
	require.Equal(t, []item{
		baud(1000), {flush: 1000}, {data: []byte("ab")}, baud(3000), {flush: 3000},
	}, s.items)
}

// TestBoundedComplaints: a client that refuses each request with another result does not make
// the agent keep more and more.
func TestBoundedComplaints(t *testing.T) {
	var log bytes.Buffer
	s := session{log: slog.New(slog.NewTextHandler(&log, nil))}
	for i := range 1000 {
		err := fmt.Errorf("refusal %d", i)
		s.refuse(err)
		s.refuse(err)
	}
	require.Equal(t, maxComplaints, strings.Count(log.String(), "refusal"))
	require.Len(t, s.complaints, maxComplaints)
}
