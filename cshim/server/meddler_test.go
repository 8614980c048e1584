// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server/servertest"
)

// meddle lets a client connect through a proxy that adds PDUs of DRDYNVC behind the
// client's first answer to the creation of a channel. It returns the address.
func meddle(t *testing.T, addr string, add func(answer []byte) (pdus [][]byte)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		near, err := ln.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		far, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer far.Close()
		// The negotiation, a PDU each way, is in the clear.
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			p, err := tpkt(way[0])
			if err == nil {
				_, err = way[1].Write(p)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		client := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
		server := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		go func() {
			_, _ = io.Copy(client, server)
			near.Close()
		}()
		in := bufio.NewReader(client)
		for {
			p, err := tpkt(in)
			if err != nil {
				return
			}
			if head, answer := channelAnswer(p); answer != nil && add != nil {
				for _, pdu := range add(answer) {
					p = append(p, channelPDU(head, pdu)...)
				}
				add = nil
			}
			if _, err := server.Write(p); err != nil {
				return
			}
		}
	}()
	return ln.Addr().String()
}

// tpkt reads a PDU: of T.123 or, from a client, of the fast path ([MS-RDPBCGR] 2.2.8.1.2).
func tpkt(r io.Reader) ([]byte, error) {
	p := make([]byte, 4)
	if _, err := io.ReadFull(r, p[:2]); err != nil {
		return nil, err
	}
	at, size := 2, int(p[1])
	switch {
	case p[0] == 3:
		at = 4
	case p[1]&0x80 != 0:
		at = 3
	}
	if _, err := io.ReadFull(r, p[2:at]); err != nil {
		return nil, err
	}
	switch at {
	case 4:
		size = int(binary.BigEndian.Uint16(p[2:]))
	case 3:
		size = int(binary.BigEndian.Uint16(p[1:]) & 0x7FFF)
	}
	p = append(p[:at], make([]byte, size-at)...)
	_, err := io.ReadFull(r, p[at:])
	return p, err
}

// Where things are in a Virtual Channel PDU of one chunk ([MS-RDPBCGR] 2.2.6.1), as FreeRDP
// sends it.
const (
	sendDataRequest = 7
	userDataLength  = 13 // two bytes, of which the first bit is set
	channelHeader   = 15
	channelData     = channelHeader + 8
)

// channelAnswer returns the answer to the creation of a channel ([MS-RDPEDYC] 2.2.2.2) if p is
// one that accepts, with an id of one byte.
func channelAnswer(p []byte) (head, answer []byte) {
	if len(p) != channelData+6 || p[0] != 3 || p[sendDataRequest] != 0x64 || p[channelData] != 0x10 ||
		!bytes.Equal(p[channelData+2:], make([]byte, 4)) {
		return nil, nil
	}
	return p[:channelData], p[channelData:]
}

// channelPDU returns a PDU with other data behind the same head.
func channelPDU(head, data []byte) []byte {
	p := append(bytes.Clone(head), data...)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[userDataLength:], 0x8000|uint16(len(p)-channelHeader))
	binary.LittleEndian.PutUint32(p[channelHeader:], uint32(len(data)))
	return p
}

// TestAnswersTwice has a client close a channel and then accept it again: it is closed, and
// costs nothing more.
func TestAnswersTwice(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		servertest.StartClient(t, servertest.ClientOptions{
			Binary: f.binary, Display: f.display, Plugin: f.plugin, Args: []string{"/dvc:pnpdr"},
			Addr: meddle(t, f.server.Addr().String(), func(answer []byte) [][]byte {
				return [][]byte{{0x40, answer[1]}, answer}
			}),
		})
		s := <-f.sessions
		e := newEndpoint(t)
		if err := s.peer.Open(context.Background(), channels.PNPDR, e.attach); err != nil {
			t.Fatal(err)
		}
		wait(t, e.closed, "the channel does not close")
		s.open(channels.PNPDR).echo([]byte("still here"))
		s.release()
	})
}
