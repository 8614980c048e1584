// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"context"

	"golang.org/x/sys/unix"
)

// RS-485 is half duplex: something switches the transmitter on while there is output.
// TIOCSRS485 has the port do that with RTS.

// rs485Size is the size of struct serial_rs485 (linux/serial.h), which begins with flags.
const rs485Size = 4 * 8

// The flags: SER_RS485_ENABLED and so on.
const (
	rs485Enabled      = 0x01
	rs485RTSOnSend    = 0x02
	rs485RTSAfterSend = 0x04
	rs485RXDuringTX   = 0x10
)

// getRS485 is TIOCGRS485. The client receives while it sends.
func getRS485(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
	b := make([]byte, rs485Size)
	if l.v.rs485 {
		order.PutUint32(b, rs485Enabled|rs485RTSOnSend|rs485RXDuringTX)
	}
	return b, nil
}

// setRS485 is TIOCSRS485. As with drivers of the kernel, the reply says what the port does
// of what was asked for: it has no delays, for example. It fails if RTS is to be down while
// there is output, which Windows' ports do not know.
func setRS485(ctx context.Context, l *line, arg uint64, in []byte) ([]byte, error) {
	flags, before := order.Uint32(in), l.v.rs485
	if flags&rs485Enabled != 0 && flags&(rs485RTSOnSend|rs485RTSAfterSend) != rs485RTSOnSend {
		return nil, unix.EINVAL
	}
	l.v.rs485 = flags&rs485Enabled != 0
	refused, err := l.apply(ctx, l.v.settings(&l.v.termios))
	if refused != nil {
		l.v.log.Warn("the client refuses RS-485", "err", refused)
		err = unix.EOPNOTSUPP
	}
	if err != nil {
		l.v.rs485 = before
		return nil, err
	}
	return getRS485(ctx, l, arg, nil)
}
