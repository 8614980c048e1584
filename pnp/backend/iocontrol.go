// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// IOControl maps an IoCode to an ioctl of the node's driver. What no IOControl maps does
// not reach the kernel.
type IOControl struct {
	// Code is the IoCode that the server sends.
	Code uint32
	// Request is the number of the ioctl. If Size is SizeOfData, its size field is zero.
	Request uint32
	// Argument says what the ioctl takes.
	Argument Argument
	// Size is the length of the data in bytes, or SizeOfData.
	Size int
}

// SizeOfData is the Size of an ioctl whose number holds the length of the data, such as
// HIDIOCGFEATURE.
const SizeOfData = -1

// The bits of an ioctl's number that say that it has no data, or that the driver writes or
// reads it (_IOC_NONE, _IOC_READ, _IOC_WRITE). Processors such as PowerPC have their own, so
// they are taken from the numbers of other ioctls.
const (
	IocNone  = unix.PERF_EVENT_IOC_ENABLE & (7 << 29)
	IocRead  = unix.BLKBSZGET & (7 << 29)
	IocWrite = unix.BLKBSZSET & (7 << 29)
)

// MaxIoctl is the length of the longest data that the number of an ioctl can tell: 14 bits,
// or 13 where three say which way it goes.
const MaxIoctl = 1<<13 - 1 + IocRead>>31<<13

// Argument is what an ioctl takes.
type Argument uint8

const (
	NoArgument Argument = iota // nothing
	Value                      // a number: the input
	In                         // data that the driver reads: the input
	Out                        // data that the driver writes: the output
	InOut                      // both
)

var arguments = []string{"none", "value", "in", "out", "inout"}

func (a Argument) String() string { return arguments[a] }

// ParseIOControl reads "CODE = IOCTL ARGUMENT [SIZE]", for example
// "0x00222000 = 0x5413 out 8". The size may be left out if the number of the ioctl
// holds it. It is "data" if the length of the data is to be put there.
func ParseIOControl(text string) (c IOControl, err error) {
	code, rest, ok := strings.Cut(text, "=")
	words := strings.Fields(rest)
	if !ok || len(words) < 2 || len(words) > 3 {
		return c, fmt.Errorf("%q is not CODE = IOCTL ARGUMENT [SIZE], as in \"0x00222000 = 0x5413 out 8\"", text)
	}
	number := func(word string) (n uint32) {
		v, e := strconv.ParseUint(word, 0, 32)
		if e != nil && err == nil {
			err = fmt.Errorf("%q is not a number of 32 bits", word)
		}
		return uint32(v)
	}
	c.Code, c.Request = number(strings.TrimSpace(code)), number(words[0])
	if err != nil {
		return c, err
	}
	i := slices.Index(arguments, words[1])
	if i < 0 {
		return c, fmt.Errorf("%q is not one of %s", words[1], strings.Join(arguments, ", "))
	}
	c.Argument, c.Size = Argument(i), int(c.Request>>16&MaxIoctl)
	if len(words) == 3 {
		err = c.setSize(words[2])
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return c, fmt.Errorf("ioctl 0x%X: %w", c.Request, err)
	}
	return c, nil
}

// setSize takes the size that is written.
func (c *IOControl) setSize(word string) error {
	encoded := c.Size
	if word == "data" {
		if encoded != 0 {
			return fmt.Errorf("it holds the size %d; for data of any size, leave that out of the number", encoded)
		}
		c.Size = SizeOfData
		return nil
	}
	n, err := strconv.Atoi(word)
	switch {
	case err != nil || n < 1 || n > MaxIoctl:
		return fmt.Errorf("%q is neither \"data\" nor a number of bytes from 1 to %d", word, MaxIoctl)
	case encoded != 0 && n != encoded:
		return fmt.Errorf("its own size is %d, not %d", encoded, n)
	}
	c.Size = n
	return nil
}

func (c *IOControl) check() error {
	switch {
	case refused(c.Request):
		return errors.New("it cannot be mapped: it acts on more than the device, or takes addresses")
	case c.Argument == NoArgument:
		c.Size = 0
	case c.Argument == Value:
		if c.Size = 4; bits.UintSize == 64 {
			c.Size = 8
		}
	case c.Size == 0:
		return errors.New("its size is missing: its number does not hold one")
	}
	own := c.Request & (IocRead | IocWrite)
	if c.Argument == In && own == IocRead || c.Argument == Out && own == IocWrite {
		return fmt.Errorf("its number says that its data goes the other way than %q", c.Argument)
	}
	return nil
}

// refused reports whether an ioctl must never be mapped. The driver of the node decides
// what a number means, so this goes by what Linux' own drivers use it for.
func refused(request uint32) bool {
	if slices.Contains([]uint32{
		unix.TIOCSCTTY,
		unix.TIOCSPGRP,
		unix.TIOCSTI,   // which types for the user of a terminal
		unix.TIOCLINUX, // which pastes
		unix.TIOCCONS,
		unix.TIOCSSERIAL, // which sets the port's addresses
		unix.TIOCNOTTY,
		unix.TIOCSETD,
		unix.TIOCVHANGUP,
		unix.TIOCGPTPEER, // which opens
		unix.TIOCSLCKTRMIOS,
		// Of descriptors; elsewhere they have the type 0x66.
		0x5421, // FIONBIO
		0x5450, // FIONCLEX
		0x5451, // FIOCLEX
		0x5452, // FIOASYNC
	}, request) {
		return true
	}
	// Types whose structures hold addresses, or that change other devices.
	return slices.Contains([]byte{
		0x07, // I2C
		0x09, // RAID
		0x12, // block devices
		0x22, // SCSI generic
		0x3B, // VFIO
		0x41, // ALSA
		0x4B, // keyboards and fonts of the console
		0x4C, // loop devices
		0x4E, // NVMe
		0x53, // SCSI and CD-ROM
		0x55, // USB and uinput
		0x56, // virtual terminals and Video4Linux
		0x58, // file systems, whatever the driver of the node says
		0x5B, // USB test and measurement
		0x64, // graphics
		0x66, // file systems, and descriptors
		0x6B, // SPI
		0x89, // sockets
		0x93, // autofs
		0x94, // file systems: clones of other files
		0xAE, // virtual machines
		0xAF, // vhost
		0xFD, // device mapper
	}, byte(request>>8))
}
