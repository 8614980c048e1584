// SPDX-License-Identifier: Apache-2.0

// Package acceptance has tests of the promises that package pnp makes for a Device and
// a Handle. Every backend passes them. A backend's test makes a Fixture and calls Run.
//
// The suite uses a handle as the channel does: requests arrive in order, from one
// goroutine at a time. It asserts no times: a watchdog fails what never ends.
package acceptance

import (
	"testing"

	"freerdp-pnpdr/pnp"
)

// Fixture describes a backend to the suite.
type Fixture struct {
	// New makes a fresh device for one subtest. It closes its own descriptors in
	// t.Cleanup; leaks are counted after that.
	New func(t *testing.T) Instance

	// Stream is set for a device that ignores offsets and hands each byte
	// out once. Without it the device is random access.
	Stream bool
	// Grows is set if a write past the end of a random access device extends
	// it; without it such a write fails with ERROR_DISK_FULL.
	Grows bool
	// AnyOpen is set for a device that does not look at access and share
	// modes.
	AnyOpen bool
	// AnyShare is set for a device that looks at access, but not at share modes.
	AnyShare bool
	// AnyOffset is set for a random access device that treats offsets above
	// 2^63-1 like others past its end.
	AnyOffset bool
}

// Instance is one device and the means to drive it. The suite does not test what is
// nil.
type Instance struct {
	Device pnp.Device
	// ReadOnly is a device of the same kind that only grants reading.
	ReadOnly pnp.Device

	// Content is what a random access device holds at first, from offset 0
	// to its end. It is at least 4096 bytes long and no two of its aligned
	// 8-byte words are equal (Pattern makes such bytes).
	Content []byte

	// Feed makes data readable on a stream, after what was fed before. It may
	// wait until the device has taken it.
	Feed func(data []byte)
	// Sink returns the next n bytes that were written to a stream, waiting
	// for them.
	Sink func(n int) []byte

	// Blocking are requests that stay pending on a fresh instance on which
	// nothing is fed, until they are cancelled.
	Blocking []Template
	// Unstick makes a driver that hangs return from all calls, now and later.
	// Without it handles are released soon after they are closed.
	Unstick func()
	// Unplug makes the device go away. It need not be called.
	Unplug func()
	// Gone are the results of requests that are pending when the device goes, or
	// arrive later; nil for ERROR_DEVICE_NOT_CONNECTED.
	Gone []pnp.HRESULT

	// Controls are IOControls with their results. UnknownControl is always
	// tried, and must fail with ERROR_INVALID_FUNCTION.
	Controls []Control
}

// UnknownControl is an IoCode that no device has.
const UnknownControl = 0xDEAD0000

// Template describes a request to make.
type Template struct {
	Name   string
	Op     pnp.Op
	Code   uint32
	Offset uint64
	// Len is the length of Out, or of the data of a Write. In is the input of
	// an IOControl.
	Len int
	In  []byte
}

// Control is an IOControl with its result.
type Control struct {
	Template
	Result pnp.HRESULT
	Out    []byte
}

// ReadWrite is how Windows opens a device: for reading and writing, sharing both.
var ReadWrite = pnp.OpenRequest{
	Access:      pnp.GENERIC_READ | pnp.GENERIC_WRITE,
	Share:       pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE,
	Disposition: pnp.OPEN_EXISTING,
	Flags:       0x40000080,
}

// Run runs the suite as subtests of t. They are not parallel: the leak counters
// count for the whole process.
func Run(t *testing.T, f Fixture) {
	// Tests without means are not run, rather than skipped: a skip means that
	// something is missing on this machine.
	var facts *suite
	t.Run("Facts", func(t *testing.T) {
		checkLeaks(t)
		facts = &suite{Fixture: f, Instance: f.New(t)}
	})
	if facts == nil {
		t.Skip("no device to test: see Facts for the reason")
	}
	for _, test := range tests {
		if test.needs != nil && !test.needs(facts) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			checkLeaks(t)
			test.run(t, &suite{Fixture: f, Instance: f.New(t)})
		})
	}
}

var tests = []struct {
	name  string
	run   func(t *testing.T, s *suite)
	needs func(s *suite) bool
}{
	{"Description", testDescription, nil},
	{"OpenClose", testOpenClose, nil},
	{"OpenConcurrently", testOpenConcurrently, nil},
	{"NoBlock", testNoBlock, nil},
	{"Share", testShare, looksAtShare},
	{"Access", testAccess, looksAtAccess},
	{"ReadOnly", testReadOnly, hasReadOnly},
	{"ZeroLength", testZeroLength, nil},
	{"IOControl", testIOControl, nil},
	{"RandomRead", testRandomRead, hasContent},
	{"RandomWrite", testRandomWrite, hasContent},
	{"RandomEnd", testRandomEnd, hasContent},
	{"RandomConcurrent", testRandomConcurrent, hasContent},
	{"StreamOrder", testStreamOrder, canFeed},
	{"StreamShortRead", testStreamShortRead, canFeed},
	{"StreamWrites", testStreamWrites, hasSink},
	{"StreamCancelLosesNothing", testStreamCancelLosesNothing, canFeed},
	{"CancelAtOnce", testCancelAtOnce, nil},
	{"CancelPending", testCancelPending, blocks},
	{"CancelBetweenOthers", testCancelBetweenOthers, blocks},
	{"CancelAfterCompletion", testCancelAfterCompletion, nil},
	{"CancelRace", testCancelRace, nil},
	{"CancelFromCompletion", testCancelFromCompletion, nil},
	{"ClosePending", testClosePending, blocks},
	{"AfterClose", testAfterClose, nil},
	{"CloseRace", testCloseRace, nil},
	{"CloseFromCompletion", testCloseFromCompletion, nil},
	{"BuffersReturned", testBuffersReturned, blocks},
	{"UnplugPending", testUnplugPending, canUnplug},
	{"UnplugIdle", testUnplugIdle, canUnplug},
}

// suite is the instance of one subtest.
type suite struct {
	Fixture
	Instance
}

func (s *suite) gone() []pnp.HRESULT {
	if s.Gone != nil {
		return s.Gone
	}
	return []pnp.HRESULT{pnp.ERROR_DEVICE_NOT_CONNECTED}
}

func looksAtAccess(s *suite) bool { return !s.AnyOpen }
func looksAtShare(s *suite) bool  { return !s.AnyOpen && !s.AnyShare }
func hasReadOnly(s *suite) bool   { return s.ReadOnly != nil }
func hasContent(s *suite) bool    { return !s.Stream && s.Content != nil }
func canFeed(s *suite) bool       { return s.Stream && s.Feed != nil }
func hasSink(s *suite) bool       { return s.Stream && s.Sink != nil }
func blocks(s *suite) bool        { return len(s.Blocking) > 0 }
func canUnplug(s *suite) bool     { return s.Unplug != nil }

// Pattern returns n bytes. No two of their aligned 8-byte words are equal.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint64(i/8+1) * 0x9E3779B97F4A7C15 >> (i % 8 * 8))
	}
	return b
}
