package server_test

import (
	"testing"

	"freerdp-pnpdr/channels"
)

func TestEcho(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		_, s := f.client()
		for _, name := range []string{channels.PNPDR, channels.FileRedirectorChannel} {
			e := s.open(name)
			// 1600 is the size of FreeRDP's chunks, 0x10000 of our buffer.
			for i, n := range []int{1, 2, 255, 1590, 1591, 1592, 1593, 1594, 1595, 1596, 1597, 1598,
				1599, 1600, 1601, 4096, 0xFFFF, 0x10000, 0x10001, 1 << 20, 2 << 20} {
				e.echo(pattern(n, i))
			}
		}
		s.release()
	})
}
