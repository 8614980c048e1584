// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/storage"
)

// ptp speaks the Picture Transfer Protocol (ISO 15740) to a redirected device: it sends
// an operation and returns the data and the response code.
type ptp struct {
	t   testing.TB
	ctx context.Context
	h   *server.Handle
	id  uint32
}

const (
	ptpOK = 0x2001

	ptpGetDeviceInfo    = 0x1001
	ptpOpenSession      = 0x1002
	ptpCloseSession     = 0x1003
	ptpGetStorageIDs    = 0x1004
	ptpGetObjectHandles = 0x1007
	ptpGetObjectInfo    = 0x1008
	ptpGetObject        = 0x1009
)

// command makes the container of an operation.
func (p *ptp) command(code uint16, parameters ...uint32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(12+4*len(parameters)))
	b = le.AppendUint16(b, 1) // command
	b = le.AppendUint16(b, code)
	b = le.AppendUint32(b, p.id)
	for _, v := range parameters {
		b = le.AppendUint32(b, v)
	}
	p.id++
	return b
}

func (p *ptp) do(code uint16, parameters ...uint32) (data []byte, response uint16, results []uint32) {
	p.t.Helper()
	le := binary.LittleEndian
	b := p.command(code, parameters...)
	n, err := p.h.WriteAt(p.ctx, b, 0)
	require.NoError(p.t, err)
	require.Equal(p.t, len(b), n)
	for {
		c := p.container()
		kind, body := le.Uint16(c[4:]), c[12:]
		if kind == 2 {
			data = body
			continue
		}
		require.Equal(p.t, uint16(3), kind)
		for len(body) >= 4 {
			results = append(results, le.Uint32(body))
			body = body[4:]
		}
		return data, le.Uint16(c[6:]), results
	}
}

// container reads a container. A transfer ends with a short packet, which may be empty.
func (p *ptp) container() []byte {
	p.t.Helper()
	var b []byte
	buffer := make([]byte, 1<<20)
	for {
		n, err := p.h.ReadAt(p.ctx, buffer, 0)
		require.NoError(p.t, err)
		b = append(b, buffer[:n]...)
		if len(b) >= 12 && len(b) >= int(binary.LittleEndian.Uint32(b)) {
			return b
		}
	}
}

func (p *ptp) ok(code uint16, parameters ...uint32) []byte {
	p.t.Helper()
	data, response, _ := p.do(code, parameters...)
	require.Equal(p.t, uint16(ptpOK), response, "operation 0x%04X", code)
	return data
}

// u32array reads an array of PTP.
func u32array(b []byte) (all []uint32) {
	for n := binary.LittleEndian.Uint32(b); n > 0; n-- {
		b = b[4:]
		all = append(all, binary.LittleEndian.Uint32(b))
	}
	return all
}

// files presents the player's files as the agent does, and returns the folder of its one
// memory, which only other processes may use: this one serves it.
func (r *remote) files(d *server.Device) (memory string, end func()) {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	dir := r.t.TempDir()
	p, err := storage.Present(r.ctx, present.NewDevice(d, &present.Kind{Name: "storage"}, "player", dir, log, present.Options{}))
	require.NoError(r.t, err)
	end = sync.OnceFunc(p.Close)
	r.t.Cleanup(end)
	return filepath.Join(dir, "storage", "*"), end
}

// sh runs a command of the shell, in which $1 and so on are args and "cd $1" finds a
// pattern, and returns what it prints.
func sh(t testing.TB, command string, args ...string) string {
	t.Helper()
	out, err := exec.Command("sh", append([]string{"-ec", command, "sh"}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s: %s", command, out)
	return string(out)
}

func (r *remote) sh(command string, args ...string) string {
	r.t.Helper()
	return sh(r.t, command, args...)
}

// testImage fetches files from QEMU's media player, which shows a folder of this project.
func testImage(t *testing.T, f *fixture) {
	folder, err := filepath.Abs("../../docs")
	require.NoError(t, err)
	player := plug(t, "usb-mtp", map[string]any{"rootdir": folder, "desc": "docs"})
	r := f.connect(t, "auto")
	d := r.added("QEMU filesharing")
	require.Contains(t, d.Description().CompatibleIDs, `USB\Class_06`)
	h := r.open(d)

	le := binary.LittleEndian
	descriptor := r.control(h, image.IOCTL_GET_DEVICE_DESCRIPTOR, nil, 8)
	require.Equal(t, uint16(0x46f4), le.Uint16(descriptor))
	pipes := r.control(h, image.IOCTL_GET_PIPE_CONFIGURATION, nil, 68)
	require.Equal(t, uint32(3), le.Uint32(pipes))
	device := r.control(h, image.IOCTL_GET_USB_DESCRIPTOR, []byte{1, 0, 0, 0}, 18)
	require.Equal(t, []byte{18, 1}, device[:2])

	p := &ptp{t: t, ctx: r.ctx, h: h}
	p.ok(ptpGetDeviceInfo)
	p.ok(ptpOpenSession, 1)
	storages := u32array(p.ok(ptpGetStorageIDs))
	require.Len(t, storages, 1)
	fetched := 0
	for _, object := range u32array(p.ok(ptpGetObjectHandles, storages[0], 0, 0xFFFFFFFF)) {
		info := p.ok(ptpGetObjectInfo, object)
		name := ""
		for i := range int(info[52]) - 1 {
			name += string(rune(le.Uint16(info[53+2*i:])))
		}
		if filepath.Ext(name) != ".md" {
			continue
		}
		want, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(p.ok(ptpGetObject, object)), name)
		fetched++
	}
	require.Greater(t, fetched, 10)
	p.ok(ptpCloseSession)

	require.NoError(t, h.Close())
	memory, end := r.files(d)
	out := r.sh(`cd $1; ls; for f in *.md; do cmp "$f" "$2/$f"; done`, memory, folder)
	require.Contains(t, out, "architecture.md")
	end()

	h = r.open(d)
	ended := pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 512), 0) })
	player.unplug()
	r.requireGone(ended)
	r.removed(d)
	_, err = h.WriteAt(r.ctx, []byte("x"), 0)
	require.ErrorIs(t, err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	h.Close()
	r.finish()
}
