// SPDX-License-Identifier: Apache-2.0

// Package ncalrpc gives the Server Service of a client to the programs of Samba on this
// machine: a folder with the pipe srvsvc as a socket, and an endpoint mapper, which those
// programs ask first.
//
//	rpcclient --option="ncalrpc dir=DIR" ncalrpc: -c netshareenumall
package ncalrpc

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp/srvs"
	"freerdp-pnpdr/pnp/srvs/epm"
)

// Folder is such a folder.
type Folder struct {
	service, mapper *pipebridge.Bridge
}

// Listen makes the sockets in dir, which is made if it does not exist, and refused if
// anybody but this user and root could put others there. Programs wait until a client has
// the pipe. log may be nil.
func Listen(dir string, log *slog.Logger) (*Folder, error) {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("listening in %s: %w", dir, err)
	}
	service, err := pipebridge.ParseAddress("unix:" + filepath.Join(dir, srvs.PipeName))
	if err != nil {
		return nil, err
	}
	endpoint, err := pipebridge.ParseAddress("unix:" + filepath.Join(dir, epm.Socket))
	if err != nil {
		return nil, err
	}
	f := new(Folder)
	if f.service, err = pipebridge.Listen(service, log); err != nil {
		return nil, err
	}
	f.service.RPC = true
	f.service.Wrap = func(h pipebridge.Handle) pipebridge.Handle { return &asSystem{Handle: h} }
	mapper := epm.New(srvs.Syntax, epm.Endpoint{Socket: srvs.PipeName}, log)
	f.mapper, err = pipebridge.Serve(endpoint, log, func(ctx context.Context, c net.Conn) {
		if err := mapper.Serve(ctx, c, nil); err != nil {
			log.Debug("the endpoint mapper has hung up", "err", err)
		}
	})
	if err != nil {
		f.service.Close()
		return nil, err
	}
	return f, nil
}

// makeFolder makes a folder for the sockets, or checks the one that is there. A sticky bit
// does not make one fit that others may write to: they could be there first.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the folder belongs to user %d, not to you or root: name a folder of yours", st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("others may write to the folder (mode %04o): name a new folder, or take that right from them (chmod go-w)", st.Mode&0o7777)
	}
	return nil
}

// Follow uses the pipe of a session, as Bridge.Follow does.
func (f *Folder) Follow(ctx context.Context, s *server.Session) {
	f.service.Follow(ctx, s, func(d *server.Device) bool { return d.Description().Name == srvs.PipeName })
}

// Add uses a pipe, as Bridge.Add does.
func (f *Folder) Add(open pipebridge.Opener, gone <-chan struct{}) { f.service.Add(open, gone) }

// Close ends all connections and removes the sockets.
func (f *Folder) Close() {
	f.mapper.Close()
	f.service.Close()
}
