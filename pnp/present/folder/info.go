// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// infoName is the file that describes the device.
const infoName = "info.json"

// Info is a device as info.json has it.
type Info struct {
	// Name is the device's own, and may have any characters.
	Name string `json:"name"`
	// Kind is the row of the table of presenters.
	Kind string `json:"kind"`
	// ID is the ClientDeviceID, under which the client knows the device while it is
	// there.
	ID            uint32   `json:"id"`
	HardwareIDs   []string `json:"hardware_ids"`
	CompatibleIDs []string `json:"compatible_ids"`
	// Interfaces are the device interface classes, and Container is the same for all
	// functions of one physical device: GUIDs as {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}.
	Interfaces []string `json:"interfaces"`
	Container  string   `json:"container,omitempty"`
	// Capabilities are the words for the device's capability bits, absent if the
	// client does not tell.
	Capabilities []string `json:"capabilities,omitempty"`
}

func infoOf(d *present.Device) Info {
	desc := d.Description()
	i := Info{
		Name: desc.Name, Kind: d.Kind.Name, ID: d.ID(),
		HardwareIDs:   nonNil(desc.HardwareIDs),
		CompatibleIDs: nonNil(desc.CompatibleIDs),
		Interfaces:    guids(desc.Interfaces),
	}
	if desc.Container != nil {
		i.Container = desc.Container.String()
	}
	if desc.Caps != nil {
		i.Capabilities = desc.Caps.Names()
	}
	return i
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func guids(list []pnp.GUID) []string {
	texts := []string{}
	for _, g := range list {
		texts = append(texts, g.String())
	}
	return texts
}

// writeInfo writes the file so that nobody finds it incomplete.
func writeInfo(d *present.Device) error {
	text, err := Marshal(infoOf(d))
	if err != nil {
		return err
	}
	path := filepath.Join(d.Dir, infoName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Marshal returns v as JSON for people and programs, with a line feed at the end. What a
// terminal would act on is escaped: a client chooses the names of its devices.
func Marshal(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text)+1)
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '\n'), nil
}
