package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/loopback"
)

// usage is what the option help prints.
var usage = []string{
	"/dvc:pnpdr,OPTION[,OPTION]... redirects Plug and Play devices. A comma in a value is written %2C, a percent sign before 2C or 25 is written %25.",
	"Devices:",
	"  loopback              a device made of memory, to check a set-up without hardware",
	"  file:PATH             a regular file or block image, random access",
	"  char:PATH             a character device node, a stream",
	"Of the device before it:",
	"  name:TEXT             friendly name",
	"  hwid:ID[+ID...]       hardware ids, by which a Windows server finds the driver",
	"  compat:ID[+ID...]     compatible ids",
	"  guid:GUID[+GUID...]   device interface classes",
	"  container:GUID        shared by the functions of one physical device",
	"  caps:CAP[+CAP...]     removable, surprise, lock, eject",
	"  optional              the server may decline the device",
	"  ro                    read-only",
	"Limits, numbers with an optional K or M behind them:",
	"  max-reply:BYTES (1M)           data in one reply",
	"  max-requests:N (1024)          outstanding requests of a handle",
	"  max-handle-bytes:BYTES (16M)   outstanding bytes of a handle",
	"  max-session-bytes:BYTES (64M)  outstanding bytes of the session",
	"  max-handles:N (4096)           open handles",
	"  max-devices:N (256)            devices",
	"  max-event:BYTES (64K)          data of a custom event",
}

// backend is the kind of device that an option names.
type backend string

const (
	backendLoopback backend = "loopback"
	backendFile     backend = "file"
	backendChar     backend = "char"
)

// deviceOption is one device that the user named.
type deviceOption struct {
	backend     backend
	path        string
	readOnly    bool
	description pnp.Description
}

// String is the device as the user named it.
func (d *deviceOption) String() string {
	if d.path == "" {
		return string(d.backend)
	}
	return string(d.backend) + ":" + d.path
}

// options are what the user asked for.
type options struct {
	help    bool
	devices []*deviceOption
	limits  client.Limits
}

var unescape = strings.NewReplacer("%2C", ",", "%2c", ",", "%25", "%")

// parseOptions reads the words of FreeRDP's argument behind the plugin's name.
// A word that cannot be understood is left out, with a problem that says which,
// why and what to do.
func parseOptions(words []string) (o options, problems []string) {
	o.limits = client.DefaultLimits()
	var device *deviceOption
	for _, word := range words {
		key, value, hasValue := strings.Cut(word, ":")
		value = unescape.Replace(value)
		err := func() error {
			if d, err := newDevice(key, value, hasValue); d != nil || err != nil {
				// What follows a device that is left out must not be
				// taken for the device before it.
				device = d
				if d != nil {
					o.devices = append(o.devices, d)
				}
				return err
			}
			if known, err := o.limit(key, value); known {
				return err
			}
			switch {
			case key == "":
				return nil // FreeRDP 2 passes empty words on
			case key == "help":
				o.help = true
				return nil
			case qualifiers[key] == nil:
				return fmt.Errorf("there is no such option")
			case device == nil:
				return fmt.Errorf("there is no device before it that it could belong to")
			}
			return qualifiers[key](device, value)
		}()
		if err != nil {
			problems = append(problems, fmt.Sprintf("option %q is ignored: %v; /dvc:pnpdr,help lists the options", word, err))
		}
	}
	return o, problems
}

// newDevice returns nil if key names no kind of device.
func newDevice(key, value string, hasValue bool) (*deviceOption, error) {
	d := &deviceOption{backend: backend(key), path: value}
	switch d.backend {
	case backendLoopback:
		if hasValue {
			return nil, fmt.Errorf("it takes no value")
		}
		d.description = loopback.DefaultDescription()
		return d, nil
	case backendFile, backendChar:
		if value == "" {
			return nil, fmt.Errorf("the path is missing, as in %s:/dev/NAME", key)
		}
		path, err := filepath.Abs(value)
		if err != nil {
			return nil, err
		}
		d.path = path
		d.description = pnp.Description{
			Name:        filepath.Base(path),
			HardwareIDs: []string{`PNPDR\` + strings.ToUpper(key)},
		}
		return d, nil
	}
	return nil, nil
}

// qualifiers change the description of the device before them.
var qualifiers = map[string]func(d *deviceOption, value string) error{
	"name": func(d *deviceOption, value string) error {
		d.description.Name = value
		return nil
	},
	"hwid": func(d *deviceOption, value string) (err error) {
		d.description.HardwareIDs, err = ids(value)
		return err
	},
	"compat": func(d *deviceOption, value string) (err error) {
		d.description.CompatibleIDs, err = ids(value)
		return err
	},
	"guid": func(d *deviceOption, value string) error {
		var guids []pnp.GUID
		for _, s := range strings.Split(value, "+") {
			g, err := pnp.ParseGUID(s)
			if err != nil {
				return err
			}
			guids = append(guids, g)
		}
		d.description.Interfaces = guids
		return nil
	},
	"container": func(d *deviceOption, value string) error {
		g, err := pnp.ParseGUID(value)
		if err != nil {
			return err
		}
		d.description.Container = &g
		return nil
	},
	"caps": func(d *deviceOption, value string) error {
		var caps pnp.DeviceCaps
		for _, s := range strings.Split(value, "+") {
			bit, ok := capNames[s]
			if !ok {
				return fmt.Errorf("%q is none of removable, surprise, lock, eject", s)
			}
			caps |= bit
		}
		d.description.Caps = &caps
		return nil
	},
	"optional": func(d *deviceOption, value string) error {
		d.description.Optional = true
		return noValue(value)
	},
	"ro": func(d *deviceOption, value string) error {
		if d.backend == backendLoopback {
			return fmt.Errorf("loopback cannot be read-only")
		}
		d.readOnly = true
		return noValue(value)
	},
}

var capNames = map[string]pnp.DeviceCaps{
	"removable": pnp.PNP_DEVCAPS_REMOVABLE,
	"surprise":  pnp.PNP_DEVCAPS_SURPRISEREMOVALOK,
	"lock":      pnp.PNP_DEVCAPS_LOCKSUPPORTED,
	"eject":     pnp.PNP_DEVCAPS_EJECTSUPPORTED,
}

func noValue(value string) error {
	if value != "" {
		return fmt.Errorf("it takes no value")
	}
	return nil
}

func ids(value string) ([]string, error) {
	list := strings.Split(value, "+")
	for _, id := range list {
		if id == "" {
			return nil, fmt.Errorf("an id is empty")
		}
	}
	return list, nil
}

// limit sets the limit that key names; known is false if key names none.
func (o *options) limit(key, value string) (known bool, err error) {
	l := &o.limits
	set := func(min int64, put func(int64)) (bool, error) {
		n, err := parseNumber(value)
		if err == nil && (n < min || n > math.MaxInt32) {
			err = fmt.Errorf("%d is not between %d and %d", n, min, math.MaxInt32)
		}
		if err == nil {
			put(n)
		}
		return true, err
	}
	switch key {
	case "max-reply":
		return set(1, func(n int64) { l.ReplyData = int(n) })
	case "max-requests":
		return set(1, func(n int64) { l.HandleRequests = int(n) })
	case "max-handle-bytes":
		return set(1, func(n int64) { l.HandleBytes = n })
	case "max-session-bytes":
		return set(1, func(n int64) { l.SessionBytes = n })
	case "max-handles":
		return set(1, func(n int64) { l.Handles = int(n) })
	case "max-devices":
		return set(1, func(n int64) { l.Devices = int(n) })
	case "max-event":
		return set(0, func(n int64) { l.EventData = int(n) })
	}
	return false, nil
}

func parseNumber(s string) (int64, error) {
	digits, unit := s, int64(1)
	switch {
	case strings.HasSuffix(s, "K"):
		digits, unit = s[:len(s)-1], 1<<10
	case strings.HasSuffix(s, "M"):
		digits, unit = s[:len(s)-1], 1<<20
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no number such as 100, 64K or 16M", s)
	}
	return n * unit, nil
}
