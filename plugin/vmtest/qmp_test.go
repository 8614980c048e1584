// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
)

// qemu is the QEMU that runs this machine. It plugs devices in and out on
// request (QMP).
type qemu struct {
	port    *os.File
	replies chan reply

	mu   sync.Mutex
	last int // id of the last command

	devices int // how many have been plugged in
}

type reply struct {
	ID    int             `json:"id"`
	Event string          `json:"event"`
	Ret   json.RawMessage `json:"return"`
	Error *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// machine returns the one QEMU. It has one port, which stays open.
func machine(t testing.TB) *qemu {
	t.Helper()
	q, err := connect()
	require.NoError(t, err)
	return q
}

var connect = sync.OnceValues(func() (*qemu, error) {
	port, err := os.OpenFile("/dev/virtio-ports/qmp", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// The ids differ from those that an earlier test program used.
	q := &qemu{port: port, replies: make(chan reply, 64), last: os.Getpid() << 20}
	go func() {
		defer close(q.replies)
		for lines := bufio.NewScanner(port); lines.Scan(); {
			var r reply
			if json.Unmarshal(lines.Bytes(), &r) == nil && r.ID != 0 {
				q.replies <- r
			}
		}
	}()
	// It is an error to say so twice, and an earlier program may have.
	_ = q.do("qmp_capabilities", nil)
	return q, nil
})

// do executes a command.
func (q *qemu) do(command string, arguments map[string]any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	message := map[string]any{"execute": command, "id": q.last}
	if arguments != nil {
		message["arguments"] = arguments
	}
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := q.port.Write(append(b, '\n')); err != nil {
		return err
	}
	timeout := time.After(servertest.Patience)
	for {
		select {
		case r, ok := <-q.replies:
			switch {
			case !ok:
				return fmt.Errorf("%s: QEMU's port is closed", command)
			case r.ID != q.last:
			case r.Error != nil:
				return fmt.Errorf("%s: %s", command, r.Error.Desc)
			default:
				return nil
			}
		case <-timeout:
			return fmt.Errorf("%s: QEMU does not answer", command)
		}
	}
}

// plugged is a USB device that QEMU has plugged in.
type plugged struct {
	t  testing.TB
	q  *qemu
	id string
	in bool
}

// plug plugs in a USB device of QEMU until unplug or the end of the test.
func plug(t testing.TB, driver string, properties map[string]any) *plugged {
	t.Helper()
	p := &plugged{t: t, q: machine(t)}
	p.q.devices++
	p.id = fmt.Sprintf("%s-%d", driver, p.q.devices)
	arguments := map[string]any{"driver": driver, "id": p.id, "bus": "usb.0"}
	maps.Copy(arguments, properties)
	// An unplugged device keeps what it uses for a moment.
	waitFor(t, "plugging in", func() bool {
		err := p.q.do("device_add", arguments)
		if err != nil && strings.Contains(err.Error(), "in use") {
			return false
		}
		require.NoError(t, err)
		return true
	})
	p.in = true
	t.Cleanup(p.unplug)
	return p
}

func (p *plugged) unplug() {
	p.t.Helper()
	if !p.in {
		return
	}
	p.in = false
	require.NoError(p.t, p.q.do("device_del", map[string]any{"id": p.id}))
}
