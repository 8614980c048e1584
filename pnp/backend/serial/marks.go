// SPDX-License-Identifier: Apache-2.0

package serial

// marker removes PARMRK's marks (termios(3)) from the data that a terminal reads: 0xFF
// 0xFF is the byte 0xFF, 0xFF 0 n is a byte n that came with an error, and 0xFF 0 0 is
// a break. A mark can be split between two reads.
type marker struct {
	seen int // how many bytes of a mark came: 0, 1 or 2
}

// scan calls data for each good byte, bad for each byte with an error and brk for each
// break.
func (m *marker) scan(b []byte, data, bad func(byte), brk func()) {
	const mark = 0xFF
	for _, c := range b {
		switch {
		case m.seen == 0 && c == mark:
			m.seen = 1
		case m.seen == 0:
			data(c)
		case m.seen == 1 && c == 0:
			m.seen = 2
		case m.seen == 1:
			data(c) // 0xFF is escaped as 0xFF 0xFF
			m.seen = 0
		case c == 0:
			brk()
			m.seen = 0
		default:
			bad(c)
			m.seen = 0
		}
	}
}
