// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"fmt"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// Usage lists the options of /dvc:pnpdr, a line each, below headings.
func Usage(kinds backend.Table) []string {
	lines := []string{"Devices by name, which need not be there yet:"}
	for _, k := range kinds {
		lines = append(lines, fmt.Sprintf("  %-21s %s", k.Usage(), k.Help))
	}
	lines = append(lines,
		"Devices that are found:",
		"  auto                  every eligible device, present or plugged in later",
		"  usb:VID:PID           USB devices, in hexadecimal; * is any",
		"  rule:allow+KEY=VALUE  devices that match; also deny. First match wins",
		"    match by bus, vid, pid, class, subclass, protocol, interface, serial, hardware-id, driver, manufacturer, product, node, port",
		"    and set name, backend, read-only, optional, handles, requests, handle-bytes, reply, event",
		"  share:NAME=PATH       a folder that srvsvc lists beside the drives",
		"  config:PATH           read rules from there instead of ~/.config/freerdp/pnpdr.toml",
		"Of the device before it:",
		"  name:TEXT             friendly name",
		"  hwid:ID[+ID...]       hardware ids, by which a Windows server finds the driver",
		"  compat:ID[+ID...]     compatible ids",
		"  guid:GUID[+GUID...]   device interface classes",
		"  container:GUID        shared by the functions of one physical device",
		"  caps:CAP[+CAP...]     "+strings.Join(pnp.DeviceCapNames(), ", "),
		"  handles:N, requests:N, handle-bytes:BYTES, reply:BYTES, event:BYTES",
		"                        as max-handles and so on below, for this device",
		"  optional              the server may decline the device",
		"  ro                    read-only",
		"Write %2C for a comma in a value, and %25 for a percent sign before 2C or 25.",
		"Name all devices behind one /dvc:pnpdr: FreeRDP drops a second one without a word.",
		"Limits, numbers with an optional K or M behind them:",
	)
	for _, l := range limits {
		lines = append(lines, fmt.Sprintf("  %-29s  %s", l.usage(), l.help))
	}
	return lines
}
