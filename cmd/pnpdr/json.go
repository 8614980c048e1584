// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

// document is what --json prints. Fields may be added; existing ones do not change.
type document struct {
	Problems []jsonProblem `json:"problems"`
	Devices  []jsonDevice  `json:"devices"`
	Named    []jsonNamed   `json:"named"`
}

// jsonNamed is a device that an option names.
type jsonNamed struct {
	Option      string          `json:"option"`
	Backend     string          `json:"backend"` // "" if it has to be found, and is not there
	Path        string          `json:"path"`    // "" without one
	Index       int             `json:"index"`   // of the device if it was found; else 0
	Redirect    bool            `json:"redirect"`
	ReadOnly    bool            `json:"read_only"`
	Reason      string          `json:"reason"`
	Limits      jsonLimits      `json:"limits"`
	Description jsonDescription `json:"description"`

	// Collections describe the devices in its place, if there is one of each collection.
	Collections []jsonDescription `json:"collections"`
}

// jsonEvent is a line of monitor --json.
type jsonEvent struct {
	Event  string     `json:"event"`
	Device jsonDevice `json:"device"`
}

type jsonProblem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

type jsonDevice struct {
	Index        int             `json:"index,omitempty"` // not in events
	Key          string          `json:"key"`
	Node         string          `json:"node"`
	Subsystem    string          `json:"subsystem"`
	Bus          string          `json:"bus"`
	Port         string          `json:"port"`
	VID          string          `json:"vid"`
	PID          string          `json:"pid"`
	Revision     string          `json:"revision"`
	Interface    *int            `json:"interface"` // null without one
	Class        string          `json:"class"`
	SubClass     string          `json:"subclass"`
	Protocol     string          `json:"protocol"`
	Manufacturer string          `json:"manufacturer"`
	Product      string          `json:"product"`
	Serial       string          `json:"serial"`
	Driver       string          `json:"driver"`
	Excluded     string          `json:"excluded"`
	Verdict      rules.Verdict   `json:"verdict"`
	Redirect     bool            `json:"redirect"`
	Reason       string          `json:"reason"`
	Advice       string          `json:"advice"`
	Rule         *jsonRule       `json:"rule"` // null if no rule decided
	Backend      string          `json:"backend"`
	ReadOnly     bool            `json:"read_only"`
	Limits       jsonLimits      `json:"limits"`
	Access       *jsonAccess     `json:"access"` // null for a removed device
	Description  jsonDescription `json:"description"`

	Collections []jsonDescription `json:"collections"`
}

// jsonLimits are the device's own limits; 0 means that only the session's apply.
type jsonLimits struct {
	Handles     int   `json:"handles"`
	Requests    int   `json:"requests"`
	HandleBytes int64 `json:"handle_bytes"`
	ReplyData   int   `json:"reply"`
	EventData   int   `json:"event"`
}

type jsonRule struct {
	Source  string `json:"source"`
	Number  int    `json:"number"`
	Line    int    `json:"line"`
	Text    string `json:"text"`
	Comment string `json:"comment"`
	Broken  bool   `json:"broken"`
	Admin   bool   `json:"admin"`
}

type jsonAccess struct {
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	UdevRule string `json:"udev_rule"`
}

type jsonDescription struct {
	Name          string   `json:"name"`
	HardwareIDs   []string `json:"hardware_ids"`
	CompatibleIDs []string `json:"compatible_ids"`
	Interfaces    []string `json:"interfaces"`
	Container     string   `json:"container"`
	Caps          []string `json:"caps"`
	Optional      bool     `json:"optional"`
}

func jsonProblems(problems []rules.Problem) []jsonProblem {
	list := make([]jsonProblem, len(problems))
	for n, p := range problems {
		list[n] = jsonProblem(p)
	}
	return list
}

func jsonDevices(items []item) []jsonDevice {
	list := make([]jsonDevice, len(items))
	for n, i := range items {
		list[n] = i.json()
	}
	return list
}

func jsonOutcomes(outcomes []outcome) []jsonNamed {
	list := make([]jsonNamed, len(outcomes))
	for n, o := range outcomes {
		d := o.decision
		list[n] = jsonNamed{o.Option, o.Kind.Name, o.Path, o.device, d.Redirect, d.ReadOnly, d.Reason, jsonLimits(d.Limits), describe(d.Description), describeAll(d.Collections)}
	}
	return list
}

// jsonMissing are options that name devices of which none is plugged in.
func jsonMissing(options []string) []jsonNamed {
	list := make([]jsonNamed, len(options))
	for n, option := range options {
		list[n] = jsonNamed{Option: option, Reason: redirect.NotPluggedIn, Description: describe(pnp.Description{}), Collections: describeAll(nil)}
	}
	return list
}

func (i item) json() jsonDevice {
	d, dec := i.device, i.decision
	out := jsonDevice{
		Index: i.index, Key: d.Key, Node: d.Node, Subsystem: d.Subsystem, Bus: d.Bus, Port: d.Port,
		VID: hex(4, d.VendorID), PID: hex(4, d.ProductID), Revision: hex(4, d.Revision),
		Class: hex(2, d.Class), SubClass: hex(2, d.SubClass), Protocol: hex(2, d.Protocol),
		Manufacturer: d.Manufacturer, Product: d.Product, Serial: d.Serial, Driver: d.Driver, Excluded: d.Excluded,
		Verdict: dec.Verdict, Redirect: dec.Redirect, Reason: dec.Reason, Advice: i.advice,
		Backend: i.backend(), ReadOnly: dec.ReadOnly, Limits: jsonLimits(dec.Limits),
		Access: &jsonAccess{OK: i.access == nil}, Description: describe(dec.Description), Collections: describeAll(dec.Collections),
	}
	if d.Interface >= 0 {
		out.Interface = &d.Interface
	}
	if r := dec.Rule; r != nil {
		out.Rule = &jsonRule{r.Source, r.Number, r.Line, r.Text(), r.Comment, r.Broken, dec.Admin}
	}
	if i.access != nil {
		out.Access.Error = i.access.Error()
		var denied *discover.AccessError
		if errors.As(i.access, &denied) {
			out.Access.UdevRule = denied.Rule
		}
	}
	return out
}

func hex[T uint8 | uint16](digits int, n T) string { return fmt.Sprintf("%0*x", digits, n) }

func describe(d pnp.Description) jsonDescription {
	out := jsonDescription{
		Name: d.Name, Optional: d.Optional,
		// An empty list is [], not null.
		HardwareIDs:   append([]string{}, d.HardwareIDs...),
		CompatibleIDs: append([]string{}, d.CompatibleIDs...),
		Interfaces:    []string{}, Caps: []string{},
	}
	if d.Caps != nil {
		out.Caps = d.Caps.Names()
	}
	for _, g := range d.Interfaces {
		out.Interfaces = append(out.Interfaces, g.String())
	}
	if d.Container != nil {
		out.Container = d.Container.String()
	}
	return out
}

func describeAll(devices []pnp.Description) []jsonDescription {
	list := make([]jsonDescription, len(devices))
	for n, d := range devices {
		list[n] = describe(d)
	}
	return list
}

// printJSON prints one value; without an indent, on one line.
func (a *app) printJSON(v any, indent string) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return cmdline.Failure(err)
	}
	return nil
}
