// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/hidreport"
)

// The events of linux/uhid.h that are used here. All structures are packed, in the byte
// order of the machine.
const (
	eventOpen           = 4
	eventClose          = 5
	eventOutput         = 6
	eventGetReport      = 9
	eventGetReportReply = 10
	eventCreate2        = 11
	eventInput2         = 12
	eventSetReport      = 13
	eventSetReportReply = 14

	nameSize = 128
	physSize = 64
	uniqSize = 64
	// maxData is the greatest size of a report (UHID_DATA_MAX).
	maxData = 4096
	// eventSize is the size of struct uhid_event: a type, and a union whose largest
	// member is struct uhid_create2_req.
	eventSize = 4 + nameSize + physSize + uniqSize + 2 + 2 + 4*4 + maxData
)

// kinds are the kinds of reports, by enum uhid_report_type.
var kinds = []hidreport.Kind{hidreport.Feature, hidreport.Output, hidreport.Input}

// kernel is an open /dev/uhid. Its device goes when it is closed.
type kernel struct{ file io.ReadWriteCloser }

// openKernel opens /dev/uhid. The error says what the user can do.
func openKernel(path string) (io.ReadWriteCloser, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	err = os.NewSyscallError("open "+path, err)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), path), nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return nil, fmt.Errorf("%w (as root: modprobe uhid)", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w (71-pnpdr-uhid.rules gives a group the right)", err)
	}
	return nil, err
}

// event is an event of the kernel's. The fields that its type does not have are zero.
type event struct {
	what   uint32
	id     uint32 // of a question
	kind   hidreport.Kind
	number uint8 // the report id that is asked for
	data   []byte
}

// next waits for the next event that is of use.
func (k *kernel) next(b []byte) (event, error) {
	for {
		n, err := k.file.Read(b)
		if err != nil {
			return event{}, err
		}
		clear(b[n:])
		if e, ok := decode(b); ok {
			return e, nil
		}
	}
}

// decode reads a struct uhid_event.
func decode(b []byte) (event, bool) {
	u16 := func(at int) int { return int(binary.NativeEndian.Uint16(b[at:])) }
	e := event{what: binary.NativeEndian.Uint32(b)}
	kind := 0
	switch p := b[4:]; e.what {
	case eventOpen, eventClose:
		return e, true
	case eventOutput: // data[4096], size, rtype
		n := min(u16(4+maxData), maxData)
		e.data, kind = append([]byte(nil), p[:n]...), int(p[maxData+2])
	case eventGetReport: // id, rnum, rtype
		e.id, e.number, kind = binary.NativeEndian.Uint32(p), p[4], int(p[5])
	case eventSetReport: // id, rnum, rtype, size, data[4096]
		e.id, e.number, kind = binary.NativeEndian.Uint32(p), p[4], int(p[5])
		e.data = append([]byte(nil), p[8:8+min(u16(4+6), maxData)]...)
	default:
		return event{}, false
	}
	if kind >= len(kinds) {
		return event{}, false
	}
	e.kind = kinds[kind]
	return e, true
}

// create makes the device. Strings that are too long are cut.
func (k *kernel) create(i hidreport.Identity, name, phys, uniq string) error {
	b := binary.NativeEndian.AppendUint32(nil, eventCreate2)
	b = append(append(append(b, padded(name, nameSize)...), padded(phys, physSize)...), padded(uniq, uniqSize)...)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(i.Descriptor)))
	b = binary.NativeEndian.AppendUint16(b, i.Bus)
	for _, v := range []uint16{i.Vendor, i.Product, i.Version, 0} { // the last is the country
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	_, err := k.file.Write(append(b, i.Descriptor...))
	return err
}

// padded returns s with at least one zero behind.
func padded(s string, n int) []byte {
	b := make([]byte, n)
	copy(b[:n-1], cut(s, n-1))
	return b
}

// cut returns the beginning of s that is at most n bytes long, without a part of a
// character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// input passes on an input report.
func (k *kernel) input(report []byte) error {
	b := binary.NativeEndian.AppendUint32(nil, eventInput2)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(report)))
	_, err := k.file.Write(append(b, report...))
	return err
}

// answer answers a question with a report. If errno is not 0, the program gets EIO,
// whatever it is.
func (k *kernel) answer(e event, errno uint16, report []byte) error {
	what := uint32(eventSetReportReply)
	if e.what == eventGetReport {
		what = eventGetReportReply
	}
	b := binary.NativeEndian.AppendUint32(nil, what)
	b = binary.NativeEndian.AppendUint32(b, e.id)
	b = binary.NativeEndian.AppendUint16(b, errno)
	if e.what == eventGetReport {
		b = binary.NativeEndian.AppendUint16(b, uint16(len(report)))
		b = append(b, report...)
	}
	_, err := k.file.Write(b)
	return err
}

// close removes the device and ends next.
func (k *kernel) close() { k.file.Close() }
