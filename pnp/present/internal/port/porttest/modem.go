// SPDX-License-Identifier: Apache-2.0

package porttest

import (
	"encoding/binary"
	"fmt"
	"sync"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
)

// Modem is a port with modem lines, which the test moves. It has no data, and keeps a log
// of what it is told.
type Modem struct {
	*Forged

	mu     sync.Mutex
	status uint32 // SERIAL_MSR
	lines  uint32 // SERIAL_DTR_STATE and SERIAL_RTS_STATE
	mask   uint32
	happen uint32
	wait   *pnp.Request
	told   []string
	out    uint32 // how many bytes wait to be sent
}

// NewModem makes a modem with that name.
func NewModem(name string) *Modem {
	m := &Modem{}
	m.Forged = NewForged(name, m.answer)
	return m
}

// Set changes the lines that come from the modem, SERIAL_MSR, because of events.
func (m *Modem) Set(status, events uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status = status
	m.happen |= events & m.mask
	m.tell()
}

// SetUnsent says how many bytes wait to be sent.
func (m *Modem) SetUnsent(n uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = n
}

// Watches reports whether somebody waits for events.
func (m *Modem) Watches() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wait != nil
}

// Told returns what the modem was told since the last call.
func (m *Modem) Told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := m.told
	m.told = nil
	return told
}

func (m *Modem) tell() {
	if m.wait != nil && m.happen != 0 {
		r := m.wait
		binary.LittleEndian.PutUint32(r.Out, m.happen)
		m.wait, m.happen = nil, 0
		r.Complete(pnp.S_OK, 4)
	}
}

func (m *Modem) answer(r *pnp.Request) {
	if r.Op != pnp.OpIOControl {
		if r.Op == pnp.OpWrite {
			m.mu.Lock()
			m.told = append(m.told, fmt.Sprintf("%q", r.In))
			m.mu.Unlock()
		}
		Obey(r)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	number := func(v uint32) {
		binary.LittleEndian.PutUint32(r.Out, v)
		r.Complete(pnp.S_OK, 4)
	}
	say := func(what string) {
		m.told = append(m.told, what)
		r.Complete(pnp.S_OK, 0)
	}
	switch r.Code {
	case serial.IOCTL_SERIAL_GET_MODEMSTATUS:
		number(m.status)
	case serial.IOCTL_SERIAL_GET_DTRRTS:
		number(m.lines)
	case serial.IOCTL_SERIAL_SET_DTR:
		m.lines |= serial.SERIAL_DTR_STATE
		say("+DTR")
	case serial.IOCTL_SERIAL_CLR_DTR:
		m.lines &^= serial.SERIAL_DTR_STATE
		say("-DTR")
	case serial.IOCTL_SERIAL_SET_RTS:
		m.lines |= serial.SERIAL_RTS_STATE
		say("+RTS")
	case serial.IOCTL_SERIAL_CLR_RTS:
		m.lines &^= serial.SERIAL_RTS_STATE
		say("-RTS")
	case serial.IOCTL_SERIAL_SET_BREAK_ON:
		say("+break")
	case serial.IOCTL_SERIAL_SET_BREAK_OFF:
		say("-break")
	case serial.IOCTL_SERIAL_SET_XOFF:
		say("XOFF")
	case serial.IOCTL_SERIAL_SET_XON:
		say("XON")
	case serial.IOCTL_SERIAL_IMMEDIATE_CHAR:
		say(fmt.Sprintf("now %q", r.In))
	case serial.IOCTL_SERIAL_SET_BAUD_RATE:
		say(fmt.Sprint(binary.LittleEndian.Uint32(r.In), " bit/s"))
	case serial.IOCTL_SERIAL_SET_LINE_CONTROL:
		say(fmt.Sprint("frame ", r.In))
	case serial.IOCTL_SERIAL_PURGE:
		say(fmt.Sprint("purge ", r.In[0]))
	case serial.IOCTL_SERIAL_SET_WAIT_MASK:
		m.mask = binary.LittleEndian.Uint32(r.In)
		r.Complete(pnp.S_OK, 0)
	case serial.IOCTL_SERIAL_WAIT_ON_MASK:
		m.wait = r
		m.tell()
	case serial.IOCTL_SERIAL_GET_COMMSTATUS:
		binary.LittleEndian.PutUint32(r.Out[12:], m.out)
		r.Complete(pnp.S_OK, 20)
	case serial.IOCTL_SERIAL_GET_STATS:
		for i := range 6 {
			binary.LittleEndian.PutUint32(r.Out[4*i:], uint32(100+i))
		}
		r.Complete(pnp.S_OK, 24)
	default:
		r.Complete(pnp.S_OK, len(r.Out))
	}
}
