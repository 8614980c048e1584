// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

func list(_ context.Context, r *runner, _ *statement) (result, error) {
	devices := r.session.Devices()
	res := summary("%s", plural(len(devices), "device"))
	for _, d := range devices {
		res.details = append(res.details, describe(d)...)
	}
	return res, nil
}

// title names a device in a few words.
func title(d *server.Device) string {
	return fmt.Sprintf("#%d %s", d.ID(), clean(d.Description().Name))
}

// describe returns the client's description of a device, in lines.
func describe(d *server.Device) []string {
	desc := d.Description()
	lines := []string{title(d)}
	field := func(name, value string) {
		lines = append(lines, fmt.Sprintf("    %-16s%s", name, value))
	}
	for _, id := range desc.HardwareIDs {
		field("hardware id", clean(id))
	}
	for _, id := range desc.CompatibleIDs {
		field("compatible id", clean(id))
	}
	for _, g := range desc.Interfaces {
		field("interface", g.String())
	}
	if desc.Container != nil {
		field("container", desc.Container.String())
	}
	if desc.Caps != nil {
		field("capabilities", capsText(*desc.Caps))
	}
	if desc.Optional {
		field("optional", "the server may decline it")
	}
	return lines
}

func capsText(caps pnp.DeviceCaps) string {
	if caps == 0 {
		return "none"
	}
	return strings.Join(caps.Names(), ", ")
}

// matcher returns a function that reports whether ref names a device.
func matcher(ref string) func(*server.Device) bool {
	return func(d *server.Device) bool {
		if d.Description().Name == ref || fmt.Sprintf("#%d", d.ID()) == ref {
			return true
		}
		for _, id := range d.Description().HardwareIDs {
			if strings.EqualFold(id, ref) {
				return true
			}
		}
		return false
	}
}

// present returns the device that ref names, if it is there now.
func (r *runner) present(ref string) (*server.Device, error) {
	match := matcher(ref)
	for _, d := range r.session.Devices() {
		if match(d) {
			r.devices[ref] = d
			return d, nil
		}
	}
	return nil, fmt.Errorf("there is no device %q; list shows the devices, wait-device waits for one", ref)
}

// within limits ctx if the argument at index says how long to wait.
func (r *runner) within(ctx context.Context, st *statement, index int) (context.Context, context.CancelFunc, error) {
	if len(st.args) <= index {
		return ctx, func() {}, nil
	}
	seconds, err := st.args[index].number(16)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(seconds)*time.Second)
	return ctx, cancel, nil
}

func waitDevice(ctx context.Context, r *runner, st *statement) (result, error) {
	ref, err := st.args[0].text()
	if err != nil {
		return result{}, err
	}
	ctx, cancel, err := r.within(ctx, st, 1)
	if err != nil {
		return result{}, err
	}
	defer cancel()
	d, err := r.session.WaitDevice(ctx, matcher(ref))
	if err != nil {
		return result{}, err
	}
	r.devices[ref] = d
	return summary("%s is here", title(d)), nil
}

// waitGone waits until the device that the script named before has gone, or
// else one that is there now. For any other device nobody could say whether it
// has gone or was never there.
func waitGone(ctx context.Context, r *runner, st *statement) (result, error) {
	ref, err := st.args[0].text()
	if err != nil {
		return result{}, err
	}
	ctx, cancel, err := r.within(ctx, st, 1)
	if err != nil {
		return result{}, err
	}
	defer cancel()
	d := r.devices[ref]
	if d == nil {
		if d, err = r.present(ref); err != nil {
			return result{}, err
		}
	}
	select {
	case <-d.Gone():
		delete(r.devices, ref)
		return summary("%s has gone", title(d)), nil
	case <-ctx.Done():
		return result{}, fmt.Errorf("%s is still there: %w", title(d), ctx.Err())
	}
}
