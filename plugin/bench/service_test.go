// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/srvs"
)

// sambaVar is the address of Samba's Server Service with as many shares, such as
// 127.0.0.1:49152, which is measured too. pnp/srvs/testdata/bench-samba.sh sets it.
const sambaVar = "PNPDR_SRVS_BENCH"

// shareCount is how many shares there are.
const shareCount = 1000

// awayRTT is the round trip time of a link on which the time that a request takes at either
// end does not count.
const awayRTT = time.Millisecond

// BenchmarkService calls the Server Service of a client, one call after another, by all
// ways that lead to it; in turn with requests of as many bytes that the device in memory
// answers in the same session, with the service without RDP, and with Samba's.
func BenchmarkService(b *testing.B) {
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprintf("xfreerdp%d", major), func(b *testing.B) {
			f := newFixture(b, major)
			plugin, _ := requireLibraries(b)
			options := "loopback,srvsvc"
			for i := range shareCount - 2 { // and the device in memory and IPC$
				options += fmt.Sprintf(",share:share%d=/srv", i)
			}
			r := f.start(plugin, options)
			serverGetInfo := requestPDU(21, []uint32{0, 101})
			for _, c := range []struct {
				name string
				call []byte
			}{
				{"calls", serverGetInfo},
				{"lists", requestPDU(15, []uint32{0, 1, 1, 0x20000, 0, 0, 0xFFFFFFFF, 0x20004, 0})}, // NetrShareEnum
			} {
				b.Run(c.name, func(b *testing.B) { r.measureService(b, c.call, withoutLink(b)) })
			}
			f.addr = servertest.Delayed(b, f.addr, awayRTT)
			away := f.start(plugin, "loopback,srvsvc")
			b.Run("calls_away", func(b *testing.B) { away.measureService(b, serverGetInfo, nil) })
		})
	}
}

// withoutLink connects to services that are reached without a session.
func withoutLink(b *testing.B) map[string]pdus {
	others := map[string]pdus{"TCP": connected(b, serveTCP(b))}
	if samba := os.Getenv(sambaVar); samba != "" {
		others["Samba"] = connected(b, samba)
	}
	return others
}

func connected(b *testing.B, address string) pdus {
	c, err := net.Dial("tcp", address)
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return &connPDUs{Conn: c, in: bufio.NewReader(c)}
}

// measureService measures one call by all ways through the session and others, in turn. One
// iteration is a slice of time for each.
func (r *remote) measureService(b *testing.B, call []byte, others map[string]pdus) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	bridge, err := pipebridge.ParseAddress("tcp:127.0.0.1:0")
	require.NoError(b, err)
	bridged, err := pipebridge.Listen(bridge, nil)
	require.NoError(b, err)
	bridged.RPC = true
	b.Cleanup(bridged.Close)
	bridged.Follow(ctx, r.session, func(d *server.Device) bool { return d.Description().Name == srvs.PipeName })

	service := map[string]pdus{
		"transceive": &handlePDUs{ctx: ctx, h: r.openNamed(b, srvs.PipeName), transceive: true, buf: make([]byte, 16*kib)},
		"write_read": &handlePDUs{ctx: ctx, h: r.openNamed(b, srvs.PipeName), buf: make([]byte, 16*kib)},
		"bridge":     connected(b, bridged.Addr().String()),
	}
	maps.Copy(service, others)
	ways := make(map[string]func() error)
	most := 0
	for name, p := range service {
		_, err := exchange(p, bindPDU, 12)
		require.NoError(b, err, name)
		n, err := exchange(p, call, 2)
		require.NoError(b, err, name)
		most = max(most, n)
		ways[name] = func() error {
			_, err := exchange(p, call, 2)
			return err
		}
	}
	memory := r.openNamed(b, "Ts Fake Device")
	in, out := make([]byte, most), make([]byte, 16*kib)
	if most < 4*kib {
		ways["memory"] = func() error {
			_, err := memory.IOControl(ctx, loopback.IOCTL_ECHO, in, out)
			return err
		}
	} else { // a call sends little
		ways["memory"] = func() error {
			_, err := memory.ReadAt(ctx, out, 0)
			return err
		}
	}

	rates := make(map[string][]float64)
	names := make([]string, 0, len(ways))
	for name := range ways {
		names = append(names, name)
	}
	slices.Sort(names)
	for range b.N {
		for _, name := range names {
			n, began := 0, time.Now()
			for ; time.Since(began) < slice; n++ {
				if err := ways[name](); err != nil {
					b.Fatal(name, ": ", err)
				}
			}
			rates[name] = append(rates[name], float64(n)/time.Since(began).Seconds())
		}
	}
	itself := func(rate float64) float64 { return rate }
	for _, name := range names {
		b.ReportMetric(median(rates[name], itself), name+"/s")
	}
	quotients := make([]float64, b.N)
	for i := range quotients {
		quotients[i] = rates["transceive"][i] / rates["memory"][i]
	}
	b.ReportMetric(median(quotients, itself), "ratio")
	b.ReportMetric(0, "ns/op")
}

// openNamed opens a device by its name.
func (r *remote) openNamed(b *testing.B, name string) *server.Handle {
	b.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	d, err := r.session.WaitDevice(ctx, func(d *server.Device) bool { return d.Description().Name == name })
	require.NoError(b, err)
	h, err := d.Open(ctx, server.OpenOptions{})
	require.NoError(b, err)
	b.Cleanup(func() { h.Close() })
	return h
}

// serveTCP serves the same without RDP, and returns where.
func serveTCP(b *testing.B) string {
	var shares sharesOnly
	for i := range shareCount - 1 { // and IPC$
		shares = append(shares, srvs.Share{ID: uint32(i + 1), Name: fmt.Sprintf("share%d", i), Type: srvs.TypeDisk, Remark: "folder"})
	}
	s := srvs.New(srvs.Config{}, shares)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	go func() { // ends with the connection
		if c, err := l.Accept(); err == nil {
			_ = s.Serve(context.Background(), c, 0)
		}
	}()
	return l.Addr().String()
}

// sharesOnly is a source without anything open.
type sharesOnly []srvs.Share

func (s sharesOnly) Snapshot() srvs.Snapshot { return srvs.Snapshot{Shares: s} }
func (s sharesOnly) CloseFile(uint32) error  { return srvs.ErrFileNotFound }

// pdus are a connection to a service.
type pdus interface {
	// first sends a PDU and returns the first fragment of the answer, next the next.
	first(pdu []byte) ([]byte, error)
	next() ([]byte, error)
}

// exchange sends a PDU and returns how long the whole answer is, which has to be of a type.
func exchange(c pdus, pdu []byte, ptype byte) (n int, err error) {
	const last = 2 // PFC_LAST_FRAG
	fragment, err := c.first(pdu)
	for {
		switch {
		case err != nil:
			return n, err
		case len(fragment) < 16 || int(binary.LittleEndian.Uint16(fragment[8:])) != len(fragment) || fragment[2] != ptype:
			return n, fmt.Errorf("no answer of type %d: %x", ptype, fragment)
		}
		if n += len(fragment); fragment[3]&last != 0 {
			return n, nil
		}
		fragment, err = c.next()
	}
}

// handlePDUs is a handle in message mode: each read is a fragment.
type handlePDUs struct {
	ctx        context.Context
	h          *server.Handle
	transceive bool
	buf        []byte
}

func (c *handlePDUs) first(pdu []byte) ([]byte, error) {
	if c.transceive {
		n, err := c.h.IOControl(c.ctx, pipe.FSCTL_PIPE_TRANSCEIVE, pdu, c.buf)
		return c.buf[:n], err
	}
	if _, err := c.h.WriteAt(c.ctx, pdu, 0); err != nil {
		return nil, err
	}
	return c.next()
}

func (c *handlePDUs) next() ([]byte, error) {
	n, err := c.h.ReadAt(c.ctx, c.buf, 0)
	return c.buf[:n], err
}

// connPDUs is a connection of TCP.
type connPDUs struct {
	net.Conn
	in  *bufio.Reader
	buf [64 * kib]byte
}

func (c *connPDUs) first(pdu []byte) ([]byte, error) {
	if _, err := c.Write(pdu); err != nil {
		return nil, err
	}
	return c.next()
}

func (c *connPDUs) next() ([]byte, error) {
	if _, err := io.ReadFull(c.in, c.buf[:16]); err != nil {
		return nil, err
	}
	fragment := c.buf[:max(16, binary.LittleEndian.Uint16(c.buf[8:]))]
	_, err := io.ReadFull(c.in, fragment[16:])
	return fragment, err
}

// bindPDU binds to the Server Service with NDR.
var bindPDU = headed(11, []byte("\xb8\x10\xb8\x10\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00"+
	"\xc8\x4f\x32\x4b\x70\x16\xd3\x01\x12\x78\x5a\x47\xbf\x6e\xe1\x88\x03\x00\x00\x00"+
	"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\x02\x00\x00\x00"))

func requestPDU(opnum uint16, stub []uint32) []byte {
	body := binary.LittleEndian.AppendUint32(nil, uint32(4*len(stub)))
	body = binary.LittleEndian.AppendUint16(body, 0) // context
	body = binary.LittleEndian.AppendUint16(body, opnum)
	for _, word := range stub {
		body = binary.LittleEndian.AppendUint32(body, word)
	}
	return headed(0, body)
}

// headed is a PDU that is not fragmented.
func headed(ptype byte, body []byte) []byte {
	pdu := append([]byte{5, 0, ptype, 3, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, body...)
	binary.LittleEndian.PutUint16(pdu[8:], uint16(len(pdu)))
	return pdu
}
