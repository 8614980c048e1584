// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend"
)

// long is the size of a long of C, which the argument of an ioctl is.
const long = bits.UintSize / 8

func TestParseIOControl(t *testing.T) {
	for text, want := range map[string]backend.IOControl{
		"0x00222000 = 0x5413 out 8":   {Code: 0x222000, Request: 0x5413, Argument: backend.Out, Size: 8},
		"1=0x80045705 out":            {Code: 1, Request: 0x80045705, Argument: backend.Out, Size: 4},
		" 2 = 0xC0045706 inout 4 ":    {Code: 2, Request: 0xC0045706, Argument: backend.InOut, Size: 4},
		"3 = 0x40247008 in":           {Code: 3, Request: 0x40247008, Argument: backend.In, Size: 36},
		"4 = 0x7003 none":             {Code: 4, Request: 0x7003},
		"5 = 0x4008700C value":        {Code: 5, Request: 0x4008700C, Argument: backend.Value, Size: long},
		"6 = 0xC0004807 inout data":   {Code: 6, Request: 0xC0004807, Argument: backend.InOut, Size: backend.SizeOfData},
		"4294967295 = 0x80045705 out": {Code: 0xFFFFFFFF, Request: 0x80045705, Argument: backend.Out, Size: 4},
	} {
		got, err := backend.ParseIOControl(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, problem := range map[string]string{
		"":                        "is not CODE = IOCTL ARGUMENT [SIZE]",
		"1 = 2":                   "is not CODE",
		"1 = 2 in 3 4":            "is not CODE",
		"x = 2 in 3":              `"x" is not a number of 32 bits`,
		"1 = 0x100000000 in 3":    "is not a number of 32 bits",
		"1 = 0x4701 both 3":       `"both" is not one of none, value, in, out, inout`,
		"1 = 0x4701 in":           "its size is missing",
		"1 = 0x4701 in 0":         "from 1 to 16383",
		"1 = 0x4701 in 16384":     "from 1 to 16383",
		"1 = 0x4701 in many":      `"many" is neither "data" nor`,
		"1 = 0x80044701 out 8":    "its own size is 4, not 8",
		"1 = 0x80044701 out data": "it holds the size 4",
		"1 = 0x80044701 in":       `its data goes the other way than "in"`,
		"1 = 0x40044701 out":      `its data goes the other way than "out"`,
	} {
		_, err := backend.ParseIOControl(text)
		require.ErrorContains(t, err, problem, text)
	}
}

// The numbers of ioctls on this processor, checked by the compiler: HIDIOCGRAWINFO has 8 bytes,
// TIOCSPTLCK 4, RTC_AIE_ON none.
var (
	_ = [1]struct{}{}[backend.IocRead|8<<16|'H'<<8|3-unix.HIDIOCGRAWINFO]
	_ = [1]struct{}{}[backend.IocWrite|4<<16|'T'<<8|0x31-unix.TIOCSPTLCK]
	_ = [1]struct{}{}[backend.IocNone|'p'<<8|1-unix.RTC_AIE_ON]
)

// TestRefusedIoctls: some ioctls can never be mapped.
func TestRefusedIoctls(t *testing.T) {
	for name, request := range map[string]uint32{
		"TIOCSTI": unix.TIOCSTI, "TIOCLINUX": unix.TIOCLINUX, "TIOCCONS": unix.TIOCCONS, "TIOCSSERIAL": unix.TIOCSSERIAL,
		"TIOCSETD": unix.TIOCSETD, "TIOCSPGRP": unix.TIOCSPGRP, "FIONBIO": 0x5421, "FIONBIO elsewhere": 0x8004667E,
		"FS_IOC_SETFLAGS": 0x40086602, "FIFREEZE": 0xC0045877, "FICLONE": 0x40049409,
		"SG_IO": 0x2285, "USBDEVFS_SUBMITURB": 0x8038550A, "UI_DEV_CREATE": 0x5501, "BLKPG": 0x1269, "I2C_RDWR": 0x0707,
		"SPI_IOC_MESSAGE(1)": 0x40206B00, "KDSKBENT": 0x4B47, "VT_ACTIVATE": 0x5606, "LOOP_SET_FD": 0x4C00, "KVM_RUN": 0xAE80,
		"USBTMC_IOCTL_WRITE": 0xC0105B0D,
	} {
		for _, argument := range []string{"none", "value", "in 8", "out 8", "inout 8"} {
			_, err := backend.ParseIOControl(fmt.Sprintf("1 = 0x%X %s", request, argument))
			if request>>16 == 0 || argument == "none" || argument == "value" {
				require.ErrorContains(t, err, "it cannot be mapped", name)
			}
			require.Error(t, err, name)
		}
	}
}
