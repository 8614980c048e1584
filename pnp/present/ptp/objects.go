// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
)

// AllObjects as a parent means the root of a storage.
const root = 0xFFFFFFFF

// formatFolder is the format of an object that is a folder, formatUnknown that of a file.
const (
	formatFolder  = 0x3001
	formatUnknown = 0x3000
)

// Properties of objects.
const (
	objectSize     = 0xDC04
	objectFileName = 0xDC07
)

const (
	maxStorages = 64
	// MaxObjects is how many objects a folder may have.
	MaxObjects = 100_000
)

// Storage is a memory of the device.
type Storage struct {
	ID          uint32
	Description string
	Label       string
	Capacity    uint64 // in bytes
	Free        uint64
	ReadOnly    bool
}

// Object is a file or a folder.
type Object struct {
	Handle   uint32
	Storage  uint32
	Name     string // as the device has it: it may hold anything
	Size     uint64
	Folder   bool
	Modified time.Time // zero if the device does not say
}

// dataset reads a dataset. After an error everything is zero.
type dataset struct {
	b   []byte
	err error
}

func (d *dataset) bytes(n int) []byte {
	if d.err != nil || len(d.b) < n {
		d.err = fmt.Errorf("%w: a dataset is too short", ErrProtocol)
		return make([]byte, n)
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *dataset) u8() byte    { return d.bytes(1)[0] }
func (d *dataset) u16() uint16 { return le.Uint16(d.bytes(2)) }
func (d *dataset) u32() uint32 { return le.Uint32(d.bytes(4)) }
func (d *dataset) u64() uint64 { return le.Uint64(d.bytes(8)) }

func (d *dataset) text() string {
	var units []uint16
	for range d.u8() {
		units = append(units, d.u16())
	}
	for len(units) > 0 && units[len(units)-1] == 0 {
		units = units[:len(units)-1]
	}
	return string(utf16.Decode(units))
}

// array reads an array of at most most elements of size bytes.
func (d *dataset) array(size, most int, f func(b []byte)) {
	n := d.u32()
	if d.err == nil && (uint64(n) > uint64(most) || uint64(n)*uint64(size) > uint64(len(d.b))) {
		d.err = fmt.Errorf("%w: an array of %d elements", ErrProtocol, n)
	}
	for i := uint32(0); i < n && d.err == nil; i++ {
		f(d.bytes(size))
	}
}

func (s *Session) deviceInfo(data []byte) error {
	d := &dataset{b: data}
	d.bytes(2 + 4 + 2)
	d.text()
	d.u16()
	d.array(2, 4096, func(b []byte) { s.has[le.Uint16(b)] = true })
	for range 4 { // events, properties, formats of captures and of images
		d.array(2, 4096, func([]byte) {})
	}
	d.text() // manufacturer
	s.Model = d.text()
	return d.err
}

func (s *Session) numbers(ctx context.Context, most int, code uint16, parameters ...uint32) (all []uint32, err error) {
	data, err := s.ask(ctx, code, parameters...)
	if err != nil {
		return nil, err
	}
	d := &dataset{b: data}
	d.array(4, most, func(b []byte) { all = append(all, le.Uint32(b)) })
	return all, d.err
}

// Storages returns the memories of the device. One that is locked or empty is not there.
func (s *Session) Storages(ctx context.Context) (all []Storage, err error) {
	ids, err := s.numbers(ctx, maxStorages, opGetStorageIDs)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if id&0xFFFF == 0 { // the slot of a card that is not there
			continue
		}
		data, err := s.ask(ctx, opGetStorageInfo, id)
		if err != nil {
			return nil, err
		}
		d := &dataset{b: data}
		st := Storage{ID: id}
		d.bytes(2 + 2)
		st.ReadOnly = d.u16() != 0
		st.Capacity, st.Free = d.u64(), d.u64()
		d.u32()
		st.Description, st.Label = d.text(), d.text()
		if d.err != nil {
			return nil, d.err
		}
		all = append(all, st)
	}
	return all, nil
}

// Children returns the handles of the objects in a folder; parent 0 is the storage itself.
func (s *Session) Children(ctx context.Context, storage, parent uint32) ([]uint32, error) {
	if parent == 0 {
		parent = root
	}
	return s.numbers(ctx, MaxObjects, opGetObjectHandles, storage, 0, parent)
}

// Object returns what the device says of an object.
func (s *Session) Object(ctx context.Context, handle uint32) (*Object, error) {
	data, err := s.ask(ctx, opGetObjectInfo, handle)
	if err != nil {
		return nil, err
	}
	d := &dataset{b: data}
	o := &Object{Handle: handle, Storage: d.u32()}
	o.Folder = d.u16() == formatFolder
	d.u16()
	size := d.u32()
	o.Size = uint64(size)
	d.bytes(2 + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 2 + 4 + 4) // thumbnail, image, parent, association
	o.Name = d.text()
	created := d.text()
	modified := d.text()
	if d.err != nil {
		return nil, d.err
	}
	if modified == "" {
		modified = created
	}
	o.Modified = date(modified)
	if size == 0xFFFFFFFF && s.has[opGetObjectPropValue] {
		if data, err := s.ask(ctx, opGetObjectPropValue, handle, objectSize); err == nil && len(data) == 8 {
			o.Size = le.Uint64(data)
		}
	}
	return o, nil
}

// date reads a DateTime, YYYYMMDDThhmmss, whatever follows.
func date(s string) time.Time {
	const layout = "20060102T150405"
	if len(s) < len(layout) {
		return time.Time{}
	}
	t, err := time.ParseInLocation(layout, s[:len(layout)], time.Local)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ErrWhole is returned by ReadAt for a device that only gives whole objects.
var ErrWhole = errors.New("the device gives whole objects only")

// ReadAt reads a part of an object. It returns less only at its end.
func (s *Session) ReadAt(ctx context.Context, handle uint32, p []byte, off uint64) (int, error) {
	code := s.partial()
	parameters := []uint32{handle, uint32(off), uint32(len(p))}
	switch {
	case code == 0, code == opGetPartialObject && off+uint64(len(p)) > 0xFFFFFFFF:
		return 0, ErrWhole
	case code == opGetPartialObject64:
		parameters = []uint32{handle, uint32(off), uint32(off >> 32), uint32(len(p))}
	}
	into := &window{p: p}
	_, err := s.do(ctx, exchange{code: code, parameters: parameters, receive: into, most: uint64(len(p))})
	return into.n, err
}

type window struct {
	p []byte
	n int
}

func (w *window) Write(b []byte) (int, error) {
	n := copy(w.p[w.n:], b)
	w.n += n
	if n < len(b) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

// Get writes a whole object of at most size bytes to w. It keeps the device busy meanwhile.
func (s *Session) Get(ctx context.Context, handle uint32, size uint64, w io.Writer) error {
	_, err := s.do(ctx, exchange{code: opGetObject, parameters: []uint32{handle}, receive: w, most: size})
	return err
}

// Send makes a file of size bytes in a folder; parent 0 is the storage itself. It returns
// its handle.
func (s *Session) Send(ctx context.Context, storage, parent uint32, name string, size uint64, r io.Reader) (uint32, error) {
	handle, err := s.sendInfo(ctx, storage, parent, name, formatUnknown, size)
	if err != nil {
		return 0, err
	}
	_, err = s.do(ctx, exchange{code: opSendObject, send: r, size: size})
	return handle, err
}

// MakeFolder makes a folder.
func (s *Session) MakeFolder(ctx context.Context, storage, parent uint32, name string) (uint32, error) {
	return s.sendInfo(ctx, storage, parent, name, formatFolder, 0)
}

// MaxName is the length of the longest name, in UTF-16 units.
const MaxName = 254

func (s *Session) sendInfo(ctx context.Context, storage, parent uint32, name string, format uint16, size uint64) (uint32, error) {
	text, err := encode(name)
	if err != nil {
		return 0, err
	}
	if parent == 0 {
		parent = root
	}
	b := le.AppendUint32(nil, storage)
	b = le.AppendUint16(b, format)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(min(size, 0xFFFFFFFF)))
	b = append(b, make([]byte, 2+4+4+4+4+4+4)...)
	b = le.AppendUint32(b, parent)
	association := uint16(0)
	if format == formatFolder {
		association = 1
	}
	b = le.AppendUint16(b, association)
	b = append(b, make([]byte, 4+4)...)
	b = append(b, text...)
	b = append(b, 0, 0, 0) // no dates, no keywords
	results, err := s.do(ctx, exchange{
		code: opSendObjectInfo, parameters: []uint32{storage, parent}, send: &source{b}, size: uint64(len(b)),
	})
	if err != nil {
		return 0, err
	}
	if len(results) < 3 {
		return 0, fmt.Errorf("%w: it does not say what the new object is called", ErrProtocol)
	}
	return results[2], nil
}

// encode makes a string of PTP of a name.
func encode(name string) ([]byte, error) {
	units := utf16.Encode([]rune(name))
	if len(units) == 0 || len(units) > MaxName {
		return nil, fmt.Errorf("%d characters in a name", len(units))
	}
	b := []byte{byte(len(units) + 1)}
	for _, u := range append(units, 0) {
		b = le.AppendUint16(b, u)
	}
	return b, nil
}

// CanRename reports whether the device says that a file can get another name.
func (s *Session) CanRename(ctx context.Context) (bool, error) {
	if !s.has[opGetObjectPropDesc] || !s.has[opSetObjectPropValue] {
		return false, nil
	}
	data, err := s.ask(ctx, opGetObjectPropDesc, objectFileName, formatUnknown)
	var response Response
	switch {
	case errors.As(err, &response): // it has no such property
		return false, nil
	case err != nil:
		return false, err
	}
	d := &dataset{b: data}
	d.bytes(2 + 2) // the property, its type
	return d.u8() == 1, d.err
}

// Rename gives a file another name. It keeps its handle.
func (s *Session) Rename(ctx context.Context, handle uint32, name string) error {
	b, err := encode(name)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, exchange{
		code: opSetObjectPropValue, parameters: []uint32{handle, objectFileName}, send: &source{b}, size: uint64(len(b)),
	})
	return err
}

type source struct{ b []byte }

func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.b)
	s.b = s.b[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Delete deletes an object.
func (s *Session) Delete(ctx context.Context, handle uint32) error {
	_, err := s.do(ctx, exchange{code: opDeleteObject, parameters: []uint32{handle, 0}})
	return err
}
