// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// asStream is how a file without a position is opened: nothing of it is cached, reading
// does not wait for writing, and close does not wait for either.
const asStream = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_STREAM | fuse.FOPEN_NOFLUSH

// device is the file data of a device that is a stream.
type device struct {
	folder *folder
}

func (d *device) permissions() uint32 { return 0o600 }

func (d *device) size(context.Context) (uint64, time.Duration) { return 0, 0 }

// truncate does nothing, as for a character device: shells and cp truncate what they write.
func (d *device) truncate(context.Context, uint64) error { return nil }

func (d *device) remove() {}

// open opens a handle of its own, as a program on Windows does that opens the device. Its
// driver says what it means that several are open.
func (d *device) open(ctx context.Context, flags uint32) (openFile, uint32, error) {
	h, err := d.folder.open(ctx, server.OpenOptions{Access: access(flags)})
	if err != nil {
		return nil, 0, err
	}
	s := &handleSource{h: h}
	if slices.Contains(d.folder.dev.Description().Interfaces, pnp.GUID_DEVINTERFACE_COMPORT) {
		if err := s.readWhatIsThere(ctx); err != nil {
			d.folder.dev.Log.Debug("a read of the port may wait until its buffer is full", "err", err)
		}
	}
	return newStream(s, flags), asStream, nil
}

// access returns the rights that a program asks for with these flags.
func access(flags uint32) uint32 {
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return pnp.GENERIC_READ
	case unix.O_WRONLY:
		return pnp.GENERIC_WRITE
	}
	return pnp.GENERIC_READ | pnp.GENERIC_WRITE
}

// handleSource is a redirected handle.
type handleSource struct {
	h      *handle
	serial bool // a read that returns nothing has timed out
}

func (s *handleSource) read(ctx context.Context, p []byte) (int, error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		n, err := s.h.ReadAt(ctx, p, 0)
		if n > 0 || err != nil || !s.serial || len(p) == 0 {
			return n, err
		}
		// A client that knows no time-outs may return as fast as it is asked.
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (s *handleSource) write(ctx context.Context, p []byte) (int, error) {
	return s.h.WriteAt(ctx, p, 0)
}

func (s *handleSource) ioctl(ctx context.Context, code uint32, in, out []byte) (int, error) {
	return s.h.IOControl(ctx, code, in, out)
}

func (s *handleSource) close() { s.h.Close() }

// readWhatIsThere makes a serial port return from a read as soon as it has data. On
// Windows, it waits at first until the buffer is full.
func (s *handleSource) readWhatIsThere(ctx context.Context) error {
	const setTimeouts = 0x1B001C // IOCTL_SERIAL_SET_TIMEOUTS
	// SERIAL_TIMEOUTS: these three values together have this meaning, and that a read
	// that gets nothing ends after the third, in ms.
	var in []byte
	for _, v := range []uint32{math.MaxUint32, math.MaxUint32, math.MaxUint32 - 1, 0, 0} {
		in = append(in, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	_, err := s.h.IOControl(ctx, setTimeouts, in, nil)
	s.serial = err == nil
	return err
}
