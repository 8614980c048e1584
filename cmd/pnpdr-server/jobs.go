// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"freerdp-pnpdr/pnp"
)

// job is an operation in the background.
type job struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when res and err are set
	res    result
	err    error
}

// sending is a context that notices when the request it is used for has been
// sent: only then does the server role start to wait, and so call Done. With
// it, "start, cancel" cancels a request that the client has got.
type sending struct {
	context.Context
	once sync.Once
	sent chan struct{}
}

func (s *sending) Done() <-chan struct{} {
	s.once.Do(func() { close(s.sent) })
	return s.Context.Done()
}

func start(_ context.Context, r *runner, st *statement) (result, error) {
	name := string(st.args[0])
	if r.jobs[name] != nil {
		return result{}, fmt.Errorf("%s is still running, or nobody has waited for it", name)
	}
	op, err := st.inner.cmd.io(r, st.inner)
	if err != nil {
		return result{}, err
	}
	ctx, stop := context.WithCancel(r.ctx)
	j := &job{cancel: stop, done: make(chan struct{})}
	s := &sending{Context: ctx, sent: make(chan struct{})}
	go func() {
		defer close(j.done)
		defer stop()
		j.res, j.err = op(s)
	}()
	select {
	case <-s.sent:
	case <-j.done:
	}
	r.jobs[name] = j
	return summary("sent"), nil
}

func (r *runner) job(st *statement) (name string, j *job, err error) {
	name = string(st.args[0])
	if j = r.jobs[name]; j == nil {
		err = fmt.Errorf("nothing was started as %s", name)
	}
	return name, j, err
}

func cancel(_ context.Context, r *runner, st *statement) (result, error) {
	_, j, err := r.job(st)
	if err != nil {
		return result{}, err
	}
	j.cancel()
	return summary("asked the client to cancel"), nil
}

func wait(ctx context.Context, r *runner, st *statement) (result, error) {
	name, j, err := r.job(st)
	if err != nil {
		return result{}, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		return result{}, fmt.Errorf("%s has no result yet: %w", name, ctx.Err())
	}
	delete(r.jobs, name)
	var answer pnp.HRESULT
	if errors.Is(j.err, context.Canceled) && errors.As(j.err, &answer) {
		// The script knows that it cancelled the request; what matters is the
		// client's answer.
		return j.res, answer
	}
	return j.res, j.err
}
