// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"fmt"
	"slices"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/storage"
)

// A table for a server that presents media players and nothing else.
func ExamplePresent() {
	table := present.Table{{
		Name: "player", Help: "a media player: a folder with its files", Exclusive: true,
		Serves:  func(d *pnp.Description) bool { return slices.Contains(d.Interfaces, pnp.GUID_DEVINTERFACE_WPD) },
		Present: storage.Present,
	}}
	player := pnp.Description{Name: "Player", Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_WPD}}
	fmt.Println(table.Serving(&player).Help)
	fmt.Println(table.Serving(&pnp.Description{Name: "Scale"}) == nil)
	// Output:
	// a media player: a folder with its files
	// true
}
