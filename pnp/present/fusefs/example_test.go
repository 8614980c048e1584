// SPDX-License-Identifier: Apache-2.0

package fusefs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/fusefs"
)

// This shows a device as a file. It does not run as a test, since mounting takes rights.
func Example() {
	var session *server.Session // of a client that is connected
	dir := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "files")

	files, err := fusefs.Mount(dir, slog.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer files.Close()
	remote, err := session.WaitDevice(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	kind := &present.Kind{Name: "file", Data: present.RandomAccess}
	d := present.NewDevice(remote, kind, "disk", dir, slog.Default(), present.Options{})
	remove := files.Add(d, fusefs.Shape{Data: kind.Data})
	defer remove()
	fmt.Println("read", filepath.Join(files.Path(), "disk", "data"))
	<-d.Gone()
}
