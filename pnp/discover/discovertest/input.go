// SPDX-License-Identifier: Apache-2.0

package discovertest

import (
	"fmt"
	"math/bits"
	"path"
	"slices"
	"strings"
)

// Input is an input device that the kernel makes of what a device sends, by the codes
// of linux/input-event-codes.h.
type Input struct {
	Keys, Rel, Abs, Properties []int
}

// Input devices of the usual sorts.
var (
	KeyboardInput = Input{Keys: upTo(1, 127)}
	MouseInput    = Input{Keys: upTo(0x110, 0x114), Rel: []int{0, 1, 8}}
	TouchpadInput = Input{Keys: []int{0x110, 0x145, 0x14a}, Abs: []int{0, 1, 0x2f, 0x35, 0x36}, Properties: []int{0, 2}}
	PenInput      = Input{Keys: []int{0x140, 0x14a, 0x14b}, Abs: []int{0, 1, 0x18}}
	GamepadInput  = Input{Keys: upTo(0x130, 0x13d), Abs: []int{0, 1, 2, 5, 0x10, 0x11}}
	// SpaceMouseInput has six axes and two buttons.
	SpaceMouseInput = Input{Keys: []int{0x100, 0x101}, Rel: upTo(0, 5)}
	// HeadsetInput has the keys of a headset, which Linux makes of the whole
	// consumer page: among them are Escape, plus and minus.
	HeadsetInput = Input{Keys: []int{1, 74, 78, 103, 105, 106, 108, 113, 114, 115, 163, 164, 165}}
)

func upTo(first, last int) []int {
	var codes []int
	for c := first; c <= last; c++ {
		codes = append(codes, c)
	}
	return codes
}

// bitmap writes codes as the kernel does.
func bitmap(codes []int) string {
	words := make([]uint, 1)
	for _, c := range codes {
		for c/bits.UintSize >= len(words) {
			words = append(words, 0)
		}
		words[c/bits.UintSize] |= 1 << (c % bits.UintSize)
	}
	var text []string
	for _, w := range slices.Backward(words) {
		text = append(text, fmt.Sprintf("%x", w))
	}
	return strings.Join(text, " ") + "\n"
}

func (p *Plugged) addInputs(parent string, inputs []Input) {
	p.tree.t.Helper()
	for _, in := range inputs {
		p.addInput(parent, in)
	}
}

// addInput makes an input device below a device.
func (p *Plugged) addInput(parent string, in Input) {
	m := p.tree
	m.t.Helper()
	name := m.number("input#")
	dir := path.Join(parent, "input", name)
	m.device(dir, "input", map[string]string{"properties": bitmap(in.Properties)})
	m.mkdir(m.sys(path.Join(dir, "capabilities")))
	for kind, codes := range map[string][]int{"key": in.Keys, "rel": in.Rel, "abs": in.Abs} {
		m.file(m.sys(path.Join(dir, "capabilities", kind)), bitmap(codes))
	}
	m.symlink(dir, path.Join("class/input", name))
	p.made = append(p.made, made{dir, "input"})
}

// AddInput makes an input device below a part of a device that is plugged in, and sends
// the kernel's message.
func (p *Plugged) AddInput(parent string, in Input) {
	p.tree.t.Helper()
	p.tree.mu.Lock()
	defer p.tree.mu.Unlock()
	p.addInput(parent, in)
	last := p.made[len(p.made)-1]
	p.tree.event("add", last.path, last.subsystem)
}
