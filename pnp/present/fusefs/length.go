// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// sector is what reads of some devices have to be multiples of.
const sector = 512

// lengthReader is what a length is found with.
type lengthReader interface {
	ReadAt(ctx context.Context, p []byte, off uint64) (int, error)
	IOControl(ctx context.Context, code uint32, in, out []byte) (int, error)
}

// length asks the client how long a device with random access is. If the client cannot
// tell, it reads to find out; then found is true.
func length(ctx context.Context, h lengthReader) (size uint64, found bool, err error) {
	out := make([]byte, 8) // GET_LENGTH_INFORMATION
	n, err := h.IOControl(ctx, pnp.IOCTL_DISK_GET_LENGTH_INFO, nil, out)
	switch {
	case err == nil && n == len(out):
		size = binary.LittleEndian.Uint64(out)
		if size > math.MaxInt64 {
			return 0, false, fmt.Errorf("the client says that the device has %d bytes: %w", size, unix.EOVERFLOW)
		}
		return size, false, nil
	case err != nil && !unknownCode(err):
		return 0, false, err
	}
	size, err = findLength(ctx, h)
	return size, true, err
}

// unknownCode reports whether err is how a device refuses an IOControl that it does not
// know.
func unknownCode(err error) bool {
	for _, hr := range []pnp.HRESULT{
		pnp.ERROR_INVALID_FUNCTION, pnp.ERROR_NOT_SUPPORTED, pnp.E_NOTIMPL,
		pnp.ERROR_INVALID_PARAMETER, pnp.ERROR_ACCESS_DENIED,
	} {
		if errors.Is(err, hr) {
			return true
		}
	}
	return false
}

// findLength finds the end with some 2·log2 reads of a sector each.
func findLength(ctx context.Context, h lengthReader) (uint64, error) {
	const last = math.MaxInt64 / sector // the highest number of a sector
	buf := make([]byte, sector)
	// read returns how much of a sector there is.
	read := func(number uint64) (n int, err error) {
		for n < len(buf) {
			k, err := h.ReadAt(ctx, buf[n:], number*sector+uint64(n))
			n += k
			if err != nil && (ctx.Err() != nil || present.Errno(err) == unix.ENODEV) {
				return 0, err
			}
			// At their end, devices fail with all kinds of errors.
			if k == 0 || err != nil {
				break
			}
		}
		return n, nil
	}
	// Sectors below low are whole; high is not.
	var low, high uint64 = 0, 1
	for {
		n, err := read(high - 1)
		if err != nil {
			return 0, err
		}
		if n < sector {
			high--
			break
		}
		if low = high; high > last/2 {
			return 0, fmt.Errorf("the device seems to have no end: %w", unix.EOVERFLOW)
		}
		high *= 2
	}
	for low < high {
		middle := low + (high-low)/2
		n, err := read(middle)
		if err != nil {
			return 0, err
		}
		if n == sector {
			low = middle + 1
		} else {
			high = middle
		}
	}
	n, err := read(low)
	if err != nil {
		return 0, err
	}
	return low*sector + uint64(n), nil
}
