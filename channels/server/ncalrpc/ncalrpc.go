// SPDX-License-Identifier: Apache-2.0

// Package ncalrpc gives the Server Service of a client to the programs of Samba on this
// machine: a folder with the pipe srvsvc as a socket, and an endpoint mapper, which those
// programs ask first.
//
//	rpcclient --option="ncalrpc dir=DIR" ncalrpc: -c netshareenumall
package ncalrpc

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp/srvs"
	"freerdp-pnpdr/pnp/srvs/epm"
)

// Folder is such a folder.
type Folder struct {
	service, mapper *pipebridge.Bridge
}

// Listen makes the sockets in dir, which is made if it does not exist. Programs wait
// until a client has the pipe. log may be nil.
func Listen(dir string, log *slog.Logger) (*Folder, error) {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	listen := func(name string) (*pipebridge.Bridge, error) {
		a, err := pipebridge.ParseAddress("unix:" + filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		return pipebridge.Listen(a, log)
	}
	f := new(Folder)
	var err error
	if f.service, err = listen(srvs.PipeName); err != nil {
		return nil, err
	}
	f.service.Wrap = func(h pipebridge.Handle) pipebridge.Handle { return &asSystem{Handle: h} }
	if f.mapper, err = listen(epm.Socket); err != nil {
		f.service.Close()
		return nil, err
	}
	mapper := epm.New(srvs.Syntax, epm.Endpoint{Socket: srvs.PipeName}, log)
	f.mapper.Add(func(context.Context) (pipebridge.Handle, error) {
		here, there := net.Pipe()
		go func() {
			// It ends with the program's connection.
			if err := mapper.Serve(context.Background(), there, nil); err != nil {
				log.Debug("the endpoint mapper has hung up", "err", err)
			}
		}()
		return local{here}, nil
	}, nil)
	return f, nil
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

// local is a connection within this process.
type local struct{ net.Conn }

func (l local) ReadAt(_ context.Context, p []byte, _ uint64) (int, error)  { return l.Read(p) }
func (l local) WriteAt(_ context.Context, p []byte, _ uint64) (int, error) { return l.Write(p) }
