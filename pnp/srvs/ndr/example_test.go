// SPDX-License-Identifier: Apache-2.0

package ndr_test

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// share is SHARE_INFO_1 of [MS-SRVS].
type share struct {
	Netname []uint16
	Type    uint32
	Remark  []uint16
}

func (x *share) code(c *ndr.Coder) {
	c.Construct(func() {
		c.UniqueString(&x.Netname)
		c.Uint32(&x.Type)
		c.UniqueString(&x.Remark)
	})
}

func Example() {
	x := share{Netname: ndr.UTF16("IPC$"), Type: 0x80000003}
	c := ndr.NewEncoder()
	x.code(c)
	fmt.Printf("% x\n", c.Stub())

	var y share
	c = ndr.NewDecoder(c.Stub(), binary.LittleEndian)
	y.code(c)
	fmt.Printf("%s %#x %v, error: %v\n", string(utf16.Decode(y.Netname)), y.Type, y.Remark == nil, c.Err())
	// Output:
	// 00 00 02 00 03 00 00 80 00 00 00 00 05 00 00 00 00 00 00 00 05 00 00 00 49 00 50 00 43 00 24 00 00 00
	// IPC$ 0x80000003 true, error: <nil>
}
