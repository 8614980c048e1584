// SPDX-License-Identifier: Apache-2.0

package serial

import "encoding/binary"

// The structures of ntddser.h. They are little-endian, and all padding is explicit.

// timeouts is SERIAL_TIMEOUTS, in milliseconds.
type timeouts struct {
	ReadIntervalTimeout         uint32
	ReadTotalTimeoutMultiplier  uint32
	ReadTotalTimeoutConstant    uint32
	WriteTotalTimeoutMultiplier uint32
	WriteTotalTimeoutConstant   uint32
}

// lineControl is SERIAL_LINE_CONTROL.
type lineControl struct {
	StopBits, Parity, WordLength uint8
}

// chars is SERIAL_CHARS.
type chars struct {
	EofChar, ErrorChar, BreakChar, EventChar, XonChar, XoffChar uint8
}

// handflow is SERIAL_HANDFLOW.
type handflow struct {
	ControlHandShake    uint32
	FlowReplace         uint32
	XonLimit, XoffLimit int32
}

// queueSize is SERIAL_QUEUE_SIZE, in bytes.
type queueSize struct {
	InSize, OutSize uint32
}

// status is SERIAL_STATUS.
type status struct {
	Errors           uint32
	HoldReasons      uint32
	AmountInInQueue  uint32
	AmountInOutQueue uint32
	EofReceived      uint8
	WaitForImmediate uint8
	_                [2]uint8
}

// perfStats is SERIALPERF_STATS.
type perfStats struct {
	ReceivedCount           uint32
	TransmittedCount        uint32
	FrameErrorCount         uint32
	SerialOverrunErrorCount uint32
	BufferOverrunErrorCount uint32
	ParityErrorCount        uint32
}

// commProp is SERIAL_COMMPROP.
type commProp struct {
	PacketLength       uint16
	PacketVersion      uint16
	ServiceMask        uint32
	Reserved1          uint32
	MaxTxQueue         uint32
	MaxRxQueue         uint32
	MaxBaud            uint32
	ProvSubType        uint32
	ProvCapabilities   uint32
	SettableParams     uint32
	SettableBaud       uint32
	SettableData       uint16
	SettableStopParity uint16
	CurrentTxQueue     uint32
	CurrentRxQueue     uint32
	ProvSpec1          uint32
	ProvSpec2          uint32
	ProvChar           uint16
	_                  [2]uint8
}

// The sizes of the structures.
const (
	sizeULONG       = 4
	sizeTimeouts    = 20
	sizeLineControl = 3
	sizeChars       = 6
	sizeHandflow    = 16
	sizeQueueSize   = 8
	sizeStatus      = 20
	sizePerfStats   = 24
	sizeCommProp    = 64
)

// get decodes one of the structures from b, which is long enough.
func get[T any](b []byte) T {
	var v T
	if _, err := binary.Decode(b, binary.LittleEndian, &v); err != nil {
		panic(err) // the table of IOControls has a wrong size
	}
	return v
}

// put encodes one of the structures into b, which is long enough.
func put(b []byte, v any) {
	if _, err := binary.Encode(b, binary.LittleEndian, v); err != nil {
		panic(err) // the table of IOControls has a wrong size
	}
}
