// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The moments of the tests' session.
var (
	testNow     = time.Date(2026, time.February, 1, 13, 14, 15, 160_000_000, time.FixedZone("", 2*3600))
	testStarted = testNow.Add(-time.Hour)
	testSince   = testNow.Add(-50 * time.Minute)
	testActive  = testNow.Add(-30 * time.Second)
	testPlugged = testNow.Add(-10 * time.Minute)
)

// A fakeSource is a Source whose state the test holds.
type fakeSource struct {
	mu     sync.Mutex
	state  Snapshot
	err    error // of CloseFile
	closed []uint32
}

func (f *fakeSource) Snapshot() Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fakeSource) CloseFile(id uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	for i, file := range f.state.Files {
		if file.ID == id {
			f.closed = append(f.closed, id)
			f.state.Files = append(f.state.Files[:i:i], f.state.Files[i+1:]...)
			return nil
		}
	}
	return ErrFileNotFound
}

// asker is the number of the handle that the tests ask by.
const asker = 3

// newSource returns a Source with a drive, a device that two handles have open, a
// printer, and the asking pipe.
func newSource(dir string) *fakeSource {
	return &fakeSource{state: Snapshot{
		Session: Session{Client: "RDPHOST", User: "alice", Since: testSince, Active: testActive},
		Shares: []Share{
			{ID: 1, Name: "home", Type: TypeDisk, Remark: "RDP", Since: testSince, Dir: dir},
			{ID: 2, Name: "Scale", Type: TypeDevice, Remark: `Serial port, ACPI\PNP0501`, Since: testPlugged},
			{ID: 3, Name: "Laser", Type: TypePrinter, Since: testPlugged},
		},
		Files: []File{
			{ID: 1, Name: "Scale", Access: accessGenericRead | accessGenericWrite},
			{ID: 2, Name: "Scale", Access: accessGenericRead},
			{ID: asker, Name: PipeName, Pipe: true, Access: accessGenericRead | accessGenericWrite},
		},
		Statistics: Statistics{Opens: 9, BytesRead: 1<<32 + 2, BytesWritten: 3<<32 + 4},
	}}
}

// newTestServer returns a Server of newSource(dir).
func newTestServer(t testing.TB, change func(*Config, *fakeSource)) (*Server, *fakeSource) {
	source := newSource(t.TempDir())
	now := testStarted
	config := Config{Host: "thin-client7.example.org", Comment: "a desk", Major: 6, Minor: 1,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return now }}
	if change != nil {
		change(&config, source)
	}
	s := New(config, source)
	now = testNow
	return s, source
}
