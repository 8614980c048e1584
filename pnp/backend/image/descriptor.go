// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/binary"
	"errors"
)

// Descriptors of USB (9.5).
const (
	descriptorDevice        = 1
	descriptorConfiguration = 2
	descriptorInterface     = 4
	descriptorEndpoint      = 5

	classImage = 6

	transferBulk      = 2
	transferInterrupt = 3
)

// pipe is an endpoint of the interface.
type pipe struct {
	address   byte // with the direction
	kind      byte // transferBulk, or another
	interval  byte
	maxPacket int // in bytes
}

func (p pipe) in() bool { return p.address&0x80 != 0 }

// layout is what the descriptors of a device say about its interface.
type layout struct {
	vendor, product, revision uint16
	number                    int // of the interface
	pipes                     []pipe
}

var errDescriptors = errors.New("the USB descriptors cannot be understood")

// parse reads the descriptors that a node of the kernel gives: the device's and those of
// its configurations, of which the first counts. number is the interface's; if it is
// negative, the first interface of the image class counts, or else the first.
func parse(b []byte, number int) (l layout, err error) {
	if len(b) < 18 || b[0] < 18 || int(b[0]) > len(b) || b[1] != descriptorDevice {
		return l, errDescriptors
	}
	l.vendor, l.product, l.revision = binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:]), binary.LittleEndian.Uint16(b[12:])
	first, image := -1, -1
	each(b[b[0]:], func(d []byte) {
		if d[1] == descriptorInterface && len(d) >= 9 && d[3] == 0 {
			if first < 0 {
				first = int(d[2])
			}
			if image < 0 && d[5] == classImage {
				image = int(d[2])
			}
		}
	})
	if number < 0 {
		if number = image; number < 0 {
			number = first
		}
	}
	l.number = number
	found, ours := false, false
	each(b[b[0]:], func(d []byte) {
		switch {
		case d[1] == descriptorInterface && len(d) >= 9:
			ours = int(d[2]) == number && d[3] == 0
			found = found || ours
		case d[1] == descriptorEndpoint && len(d) >= 7 && ours:
			size := int(binary.LittleEndian.Uint16(d[4:]) & 0x7FF)
			if size > 0 {
				l.pipes = append(l.pipes, pipe{address: d[2], kind: d[3] & 3, interval: d[6], maxPacket: size})
			}
		}
	})
	if !found {
		return l, errDescriptors
	}
	return l, nil
}

// each calls f with each descriptor of the first configuration.
func each(b []byte, f func(d []byte)) {
	configurations := 0
	for len(b) >= 2 {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return
		}
		if b[1] == descriptorConfiguration {
			if configurations++; configurations > 1 {
				return
			}
		}
		f(b[:n])
		b = b[n:]
	}
}

// find returns the first pipe of a kind and direction; nil if there is none.
func (l *layout) find(kind byte, in bool) *pipe {
	for i := range l.pipes {
		if p := &l.pipes[i]; p.kind == kind && p.in() == in {
			return p
		}
	}
	return nil
}
