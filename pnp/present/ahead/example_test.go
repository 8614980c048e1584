// SPDX-License-Identifier: Apache-2.0

package ahead_test

import (
	"context"
	"fmt"
	"io"
	"sync"

	"freerdp-pnpdr/pnp/present/ahead"
)

// text is a file of a client's. In reality it is a server.Handle.
type text struct {
	mu sync.Mutex
	b  []byte
}

func (t *text) ReadAt(_ context.Context, p []byte, off uint64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if off >= uint64(len(t.b)) {
		return 0, io.EOF
	}
	return copy(p, t.b[off:]), nil
}

func (t *text) WriteAt(_ context.Context, p []byte, off uint64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return copy(t.b[off:], p), nil
}

func Example() {
	remote := &text{b: []byte("what the client has")}
	f := ahead.New(remote, ahead.NewBudget(32<<20), 1<<20)
	defer f.Close()
	f.SetSize(uint64(len(remote.b)), 0)

	ctx := context.Background()
	seen := f.Failures()
	// It returns before the client has answered.
	if err := f.Write(ctx, []byte("server"), 9); err != nil {
		fmt.Println(err)
	}
	r := f.NewReader()
	defer r.Close()
	p := make([]byte, 19)
	n, err := r.ReadAt(ctx, p, 0)
	fmt.Printf("%q %v\n", p[:n], err)
	// As close(2) does:
	if err := f.Flush(ctx); err == nil {
		err = f.Check(&seen)
		fmt.Println(err)
	}
	// Output:
	// "what the server has" <nil>
	// <nil>
}
