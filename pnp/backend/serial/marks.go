// SPDX-License-Identifier: Apache-2.0

package serial

// marker takes PARMRK's marks out of what a terminal read (termios(3)): 0xFF
// 0xFF is the byte 0xFF, 0xFF 0 n a byte n that came with an error, 0xFF 0 0 a
// break. A mark may be split between two reads.
type marker struct {
	seen int // how much of a mark came: 0, 1 or 2 bytes
}

// scan calls data for each byte that came as it should, bad for each that did
// not and brk for each break.
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
			data(c) // a mark that nothing but 0xFF follows is data
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
