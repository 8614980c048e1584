// SPDX-License-Identifier: Apache-2.0

package pnp

import "testing"

func TestUUID5(t *testing.T) {
	// As Python's uuid module has it.
	got := uuid5(MustGUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), "www.example.com").String()
	if got != "{2ED6657D-E927-568B-95E1-2665A8AEA6A2}" {
		t.Error(got)
	}
}

func TestContainers(t *testing.T) {
	a, again, b := NewContainer("a"), NewContainer("a"), NewContainer("b")
	if *a != *again || *a == *b {
		t.Errorf("%v, again %v, of another device %v", a, again, b)
	}
	if want := (GUID{8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}); ComputerContainer != want {
		t.Errorf("the computer's container is %x", ComputerContainer[:])
	}
}
