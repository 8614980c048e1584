// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/printer"
)

const (
	// askPatience is how long one printer may take to tell its device id.
	askPatience = 2 * time.Second
	// maxList bounds what is taken of one user, in bytes, maxLine what CUPS takes of a
	// line, and maxID a device id.
	maxList = 256 << 10
	maxLine = 2046
	maxID   = 1023
)

// list prints the printers of all users' sessions, or those of the user who is not root.
func (b *Backend) list(ctx context.Context) int {
	if uid := os.Geteuid(); uid != 0 {
		u, err := lookUp(ctx, strconv.Itoa(uid))
		if err != nil {
			b.say("ERROR: %v", err)
			return statusFailed
		}
		b.listOwn(u)
		return statusOK
	}
	closeOnExec()
	entries, _ := os.ReadDir(b.sessions) // without it, nobody is logged in
	found := make([]string, len(entries))
	var all sync.WaitGroup
	for i, e := range entries {
		uid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			if u, err := lookUp(ctx, strconv.FormatUint(uid, 10)); err == nil {
				found[i] = b.listOf(ctx, u)
			}
		}()
	}
	all.Wait()
	for _, lines := range found {
		_, _ = io.WriteString(b.stdout, lines)
	}
	return statusOK
}

// closeOnExec lets no program that is started have what CUPS has given to this one.
func closeOnExec() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// listOf has a process of the user's list the printers. That may say what it likes, about
// the user's own printers only.
func (b *Backend) listOf(ctx context.Context, u user) string {
	ctx, cancel := context.WithTimeout(ctx, b.listPatience)
	defer cancel()
	if u.uid == 0 {
		var out bytes.Buffer
		root := *b
		root.stdout = &out
		root.listOwn(u)
		return out.String()
	}
	cmd := exec.CommandContext(ctx, b.self[0], b.self[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + b.env("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}}
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &limited{to: &out, left: maxList}
	_ = cmd.Run() // what it has said until then counts
	line := regexp.MustCompile(`^direct ` + regexp.QuoteMeta(destination{user: u.name}.String()) +
		`[\w.~%-]+( "[ -!#-\[\]-~]*"){4}$`)
	var lines strings.Builder
	for _, l := range strings.Split(out.String(), "\n") {
		if len(l) <= maxLine && line.MatchString(l) {
			lines.WriteString(l + "\n")
		}
	}
	return lines.String()
}

// limited takes so much, and nothing that would be more.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, io.ErrShortWrite // the program gets SIGPIPE
	}
	l.left -= len(p)
	return l.to.Write(p)
}

// listOwn prints the printers of the user that this process is of.
func (b *Backend) listOwn(u user) {
	for _, dir := range deviceFolders(b.sessions, u) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			p, err := look(filepath.Join(dir, e.Name()))
			if err != nil {
				continue
			}
			name := clean(p.info.Name, 100)
			id := p.deviceID()
			fmt.Fprintf(b.stdout, "direct %s \"%s\" \"%s of %s\" \"%s\" \"\"\n",
				destination{u.name, e.Name()}, model(id), name, clean(u.name, 100), id)
		}
	}
}

// deviceID asks the printer for its IEEE 1284 device id; "" if it does not tell.
func (p device) deviceID() string {
	c, err := net.Dial("unixpacket", filepath.Join(p.dir, "control"))
	if err != nil {
		return ""
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(askPatience)) != nil {
		return ""
	}
	// An IOControl, see docs/agent.md: kind, id, code, room.
	var request []byte
	for _, v := range []uint32{0, 1, printer.IOCTL_USBPRINT_GET_1284_ID, 2 + maxID + 1} {
		request = binary.LittleEndian.AppendUint32(request, v)
	}
	reply := make([]byte, 4<<10)
	if _, err := c.Write(request); err != nil {
		return ""
	}
	n, err := c.Read(reply)
	const header = 12 // kind, id, result
	if err != nil || n < header+2 || binary.LittleEndian.Uint64(reply) != 1<<32 || int32(binary.LittleEndian.Uint32(reply[8:])) < 0 {
		return ""
	}
	// Its length counts itself, and may be a lie.
	id, _, _ := bytes.Cut(reply[header+2:n], []byte{0})
	return clean(string(id), maxID)
}

// model returns the make and model in a device id.
func model(id string) string {
	var brand, name string
	for _, field := range strings.Split(id, ";") {
		key, value, _ := strings.Cut(field, ":")
		switch value = strings.TrimSpace(value); strings.ToUpper(strings.TrimSpace(key)) {
		case "MFG", "MANUFACTURER":
			brand = value
		case "MDL", "MODEL":
			name = value
		}
	}
	if name == "" {
		return "Unknown"
	}
	if strings.HasPrefix(strings.ToUpper(name), strings.ToUpper(brand)) {
		return name
	}
	return brand + " " + name
}
