// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLength: the length is told from a part of the message, or not yet, but never
// wrong; and from nothing that follows the message.
func TestLength(t *testing.T) {
	for _, test := range []struct {
		dir     Direction
		request Kind
		m       Body
		told    int // from so many bytes on
	}{
		{InfoToServer, 0, Version{MajorVersion: 1}, 8},
		{InfoToServer, 0, DeviceAddition{DeviceDescriptions: make([]byte, 70)}, 8},
		{InfoToServer, 0, DeviceRemoval{1}, 8},
		{IOToServer, KindCapabilitiesRequest, CapabilitiesReply{RequestID: 1}, 4},
		{IOToServer, KindCreateFileRequest, CreateFileReply{RequestID: 1}, 4},
		{IOToServer, KindReadRequest, DataReply{RequestID: 1, Data: make([]byte, 70)}, 12},
		{IOToServer, KindIOControlRequest, DataReply{RequestID: 1}, 12},
		{IOToServer, KindWriteRequest, WriteReply{RequestID: 1}, 4},
		{IOToServer, 0, CustomEvent{Data: make([]byte, 70)}, 24},
	} {
		msg := test.m.Append(nil)
		requestOf := func(RequestID) Kind { return test.request }
		more := append(msg, 0xFF, 0xFF, 0xFF, 0xFF)
		for n := range more {
			got, err := Length(more[:n], test.dir, requestOf)
			require.NoError(t, err)
			want := len(msg)
			if n < test.told {
				want = 0
			}
			require.Equal(t, uint64(want), got, "%v, from %d bytes", test.m, n)
		}
	}
	assert.Panics(t, func() { _, _ = Length(nil, IOToClient, nil) })
}
