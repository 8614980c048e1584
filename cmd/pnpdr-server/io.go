// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// openFields are what may follow the handle's name in open.
var openFields = map[string]func(*server.OpenOptions, uint32){
	"access":      func(o *server.OpenOptions, n uint32) { o.Access = n },
	"share":       func(o *server.OpenOptions, n uint32) { o.Share = n },
	"disposition": func(o *server.OpenOptions, n uint32) { o.Disposition = n },
	"flags":       func(o *server.OpenOptions, n uint32) { o.Flags = n },
	"version":     func(o *server.OpenOptions, n uint32) { o.Version = uint16(n) },
}

// openOptions returns what Windows sends, except for the fields named.
func openOptions(fields []word) (server.OpenOptions, error) {
	var o server.OpenOptions
	for _, f := range fields {
		name, value, _ := strings.Cut(string(f), "=")
		set := openFields[name]
		if set == nil {
			return o, fmt.Errorf("%s is not one of access=N, share=N, disposition=N, flags=N, version=N", f)
		}
		bits := 32
		if name == "version" {
			bits = 16
		}
		n, err := word(value).number(bits)
		if err != nil {
			return o, err
		}
		if n == 0 {
			return o, fmt.Errorf("%s: 0 is not sent; without the field it is what Windows sends", f)
		}
		set(&o, uint32(n))
	}
	return o, nil
}

func open(ctx context.Context, r *runner, st *statement) (result, error) {
	ref, err := st.args[0].text()
	if err != nil {
		return result{}, err
	}
	name := string(st.args[2])
	if r.handles[name] != nil {
		return result{}, fmt.Errorf("there is a handle %s already", name)
	}
	opt, err := openOptions(st.args[3:])
	if err != nil {
		return result{}, err
	}
	d, err := r.present(ref)
	if err != nil {
		return result{}, err
	}
	h, err := d.Open(ctx, opt)
	if err != nil {
		return result{}, err
	}
	r.handles[name] = h
	return summary("opened %s", title(d)), nil
}

// handle returns the handle that the first argument names.
func (r *runner) handle(st *statement) (*server.Handle, error) {
	name := string(st.args[0])
	if h := r.handles[name]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("there is no handle %s; open makes one", name)
}

func closeHandle(_ context.Context, r *runner, st *statement) (result, error) {
	h, err := r.handle(st)
	if err != nil {
		return result{}, err
	}
	delete(r.handles, string(st.args[0]))
	return summary("closed"), h.Close()
}

// operation is a read, write or ioctl that is ready to be carried out.
type operation func(ctx context.Context) (result, error)

// operands reads the arguments after the handle's name one by one. After an
// error it skips the others.
type operands struct {
	rest []word
	err  error
}

// operand reads the next argument.
func operand[T any](o *operands, read func(word) (T, error)) (value T) {
	if o.err == nil {
		value, o.err = read(o.rest[0])
		o.rest = o.rest[1:]
	}
	return value
}

func (o *operands) number(bits int) uint64 {
	return operand(o, func(w word) (uint64, error) { return w.number(bits) })
}

func (o *operands) expectation() (check func([]byte) error) {
	if o.err == nil {
		check, o.err = expectation(o.rest)
	}
	return check
}

func read(r *runner, st *statement) (operation, error) {
	h, err := r.handle(st)
	o := &operands{st.args[1:], err}
	offset, size, check := o.number(64), operand(o, word.length), o.expectation()
	return func(ctx context.Context) (result, error) {
		buf := make([]byte, size)
		n, err := h.ReadAt(ctx, buf, offset)
		return brought("read", buf[:n], err, check)
	}, o.err
}

func write(r *runner, st *statement) (operation, error) {
	h, err := r.handle(st)
	o := &operands{st.args[1:], err}
	offset, data := o.number(64), operand(o, word.data)
	return func(ctx context.Context) (result, error) {
		n, err := h.WriteAt(ctx, data, offset)
		if err == nil && n != len(data) {
			err = fmt.Errorf("the device took %d of %d bytes", n, len(data))
		}
		return summary("wrote %s", plural(n, "byte")), err
	}, o.err
}

func ioctl(r *runner, st *statement) (operation, error) {
	h, err := r.handle(st)
	o := &operands{st.args[1:], err}
	code, in, size, check := o.number(32), operand(o, word.data), operand(o, word.length), o.expectation()
	return func(ctx context.Context) (result, error) {
		out := make([]byte, size)
		n, err := h.IOControl(ctx, uint32(code), in, out)
		return brought("returned", out[:n], err, check)
	}, o.err
}

// expectation returns what "expect DATA" demands, or nil without it.
func expectation(words []word) (func([]byte) error, error) {
	if len(words) == 0 {
		return nil, nil
	}
	want, err := words[1].data()
	if err != nil {
		return nil, err
	}
	return func(got []byte) error {
		if bytes.Equal(got, want) {
			return nil
		}
		if len(got) == len(want) {
			at := 0
			for got[at] == want[at] {
				at++
			}
			return fmt.Errorf("expected %s: byte %d is 0x%02X instead of 0x%02X", brief(want), at, got[at], want[at])
		}
		return fmt.Errorf("expected %s, not %s", brief(want), brief(got))
	}, nil
}

// brought is the result of an operation that returned data, perhaps along with
// an error.
func brought(verb string, data []byte, err error, check func([]byte) error) (result, error) {
	res := summary("%s %s", verb, plural(len(data), "byte"))
	res.details = dump(data)
	if err != nil || check == nil {
		return res, err
	}
	if err := check(data); err != nil {
		return res, err
	}
	res.summary += ", as expected"
	if len(data) > shown {
		res.details = nil // the script shows the data
	}
	return res, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func events(ctx context.Context, r *runner, st *statement) (result, error) {
	h, err := r.handle(st)
	if err != nil {
		return result{}, err
	}
	var count uint64
	if len(st.args) > 1 {
		if count, err = st.args[1].number(32); err != nil {
			return result{}, err
		}
	}
	var res result
	n := 0
	for more := true; more && (count == 0 || uint64(n) < count); {
		var e pnp.Event
		if count > 0 {
			if e, err = nextEvent(ctx, h); err != nil {
				return res, err
			}
		} else {
			select {
			case e, more = <-h.Events():
			default:
				more = false
			}
		}
		if count > 0 || more {
			n++
			res.details = append(append(res.details, e.GUID.String()), dump(e.Data)...)
		}
	}
	res.summary = plural(n, "event")
	return res, nil
}

func expectEvent(ctx context.Context, r *runner, st *statement) (result, error) {
	h, err := r.handle(st)
	if err != nil {
		return result{}, err
	}
	guid, err := pnp.ParseGUID(string(st.args[1]))
	if err != nil {
		return result{}, err
	}
	want, err := st.args[2].data()
	if err != nil {
		return result{}, err
	}
	e, err := nextEvent(ctx, h)
	if err != nil {
		return result{}, err
	}
	res := summary("event %v with %s", e.GUID, plural(len(e.Data), "byte"))
	res.details = dump(e.Data)
	switch {
	case e.GUID != guid:
		err = fmt.Errorf("the event is %v", e.GUID)
	case !bytes.Equal(e.Data, want):
		err = fmt.Errorf("the event has %s, not %s", brief(e.Data), brief(want))
	}
	return res, err
}

func nextEvent(ctx context.Context, h *server.Handle) (pnp.Event, error) {
	select {
	case e, ok := <-h.Events():
		if !ok {
			return e, h.Err()
		}
		return e, nil
	case <-ctx.Done():
		return pnp.Event{}, fmt.Errorf("waiting for an event: %w", ctx.Err())
	}
}

// expectError turns the expected failure into success, and any other result
// into failure.
func expectError(ctx context.Context, r *runner, st *statement) (result, error) {
	want := string(st.args[0])
	isWanted, err := errorMatcher(want)
	if err != nil {
		return result{}, err
	}
	res, err := st.inner.do(ctx, r)
	switch {
	case err == nil:
		return res, fmt.Errorf("the command succeeded: %s", res.summary)
	case errors.Is(err, context.DeadlineExceeded), !isWanted(err):
		return res, fmt.Errorf("expected %s, but: %w", want, err)
	}
	return result{summary: "as expected: " + err.Error(), details: res.details}, nil
}

// errorMatcher parses the name of an HRESULT, its number, or "closed".
func errorMatcher(want string) (func(error) bool, error) {
	if want == "closed" {
		return func(err error) bool { return errors.Is(err, channels.ErrClosed) }, nil
	}
	var is func(pnp.HRESULT) bool
	if n, err := word(want).number(32); err == nil {
		is = func(h pnp.HRESULT) bool { return h == pnp.HRESULT(n) }
	} else if strings.HasPrefix(want, "ERROR_") || strings.HasPrefix(want, "E_") {
		is = func(h pnp.HRESULT) bool { return h.Name() == want }
	} else {
		return nil, fmt.Errorf("%s is neither an HRESULT, such as ERROR_HANDLE_EOF or 0x80070026, nor closed", want)
	}
	return func(err error) bool {
		var h pnp.HRESULT
		return errors.As(err, &h) && is(h)
	}, nil
}
