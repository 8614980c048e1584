// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestFunctionsAreToldApart checks that the functions of one device have different
// names: by the string of the interface, its number, or the port of a converter.
func TestFunctionsAreToldApart(t *testing.T) {
	names := func(d discovertest.USB) (names []string) {
		m := discovertest.New(t)
		m.Plug(d)
		for _, d := range scan(t, m) {
			names = append(names, d.Description.Name)
		}
		return names
	}
	quad := discovertest.FTDI("")
	quad.Product = "Quad RS232-HS"
	quad.Interfaces = nil
	for range 2 {
		quad.Interfaces = append(quad.Interfaces, discovertest.Interface{
			Class: 0xff, SubClass: 0xff, Protocol: 0xff, Driver: "ftdi_sio", TTY: "ttyUSB#", Name: quad.Product,
		})
	}
	require.Equal(t, []string{"Quad RS232-HS (interface 0)", "Quad RS232-HS (interface 1)"}, names(quad))
	require.ElementsMatch(t, []string{"Pico (Board CDC)", "Pico (Reset)"}, names(discovertest.ACM("7")))
	require.Equal(t, []string{"FT232R USB UART"}, names(discovertest.FTDI("7")))
	single := discovertest.ACM("7") // its data interface is not a function
	single.Interfaces = single.Interfaces[:2]
	require.Equal(t, []string{"Pico"}, names(single))

	m := discovertest.New(t)
	p := m.Plug(discovertest.FTDI(""))
	port := filepath.Dir(filepath.Dir(p.Keys[0]))
	for number, want := range map[string]string{"0": "FT232R USB UART", "1": "FT232R USB UART (port 2)", "x": "FT232R USB UART"} {
		m.SetAttribute(port, "port_number", number)
		require.Equal(t, want, scan(t, m)[0].Description.Name)
	}

	quad.Product = strings.Repeat("é", 5000)
	require.LessOrEqual(t, len(names(quad)[0]), 378)
}
