// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"freerdp-pnpdr/pnp"
)

// results are all named results and their numbers. Numbers below 0x10000 are Win32
// errors ([MS-ERREF] 2.2).
var results = map[string]struct {
	hr     pnp.HRESULT
	number uint32
}{
	"S_OK":         {pnp.S_OK, 0},
	"E_NOTIMPL":    {pnp.E_NOTIMPL, 0x80004001},
	"E_FAIL":       {pnp.E_FAIL, 0x80004005},
	"E_UNEXPECTED": {pnp.E_UNEXPECTED, 0x8000ffff},

	"ERROR_INVALID_FUNCTION":     {pnp.ERROR_INVALID_FUNCTION, 1},
	"ERROR_FILE_NOT_FOUND":       {pnp.ERROR_FILE_NOT_FOUND, 2},
	"ERROR_TOO_MANY_OPEN_FILES":  {pnp.ERROR_TOO_MANY_OPEN_FILES, 4},
	"ERROR_ACCESS_DENIED":        {pnp.ERROR_ACCESS_DENIED, 5},
	"ERROR_INVALID_HANDLE":       {pnp.ERROR_INVALID_HANDLE, 6},
	"ERROR_NOT_ENOUGH_MEMORY":    {pnp.ERROR_NOT_ENOUGH_MEMORY, 8},
	"ERROR_WRITE_PROTECT":        {pnp.ERROR_WRITE_PROTECT, 19},
	"ERROR_NOT_READY":            {pnp.ERROR_NOT_READY, 21},
	"ERROR_GEN_FAILURE":          {pnp.ERROR_GEN_FAILURE, 31},
	"ERROR_SHARING_VIOLATION":    {pnp.ERROR_SHARING_VIOLATION, 32},
	"ERROR_HANDLE_EOF":           {pnp.ERROR_HANDLE_EOF, 38},
	"ERROR_NOT_SUPPORTED":        {pnp.ERROR_NOT_SUPPORTED, 50},
	"ERROR_FILE_EXISTS":          {pnp.ERROR_FILE_EXISTS, 80},
	"ERROR_INVALID_PARAMETER":    {pnp.ERROR_INVALID_PARAMETER, 87},
	"ERROR_BROKEN_PIPE":          {pnp.ERROR_BROKEN_PIPE, 109},
	"ERROR_DISK_FULL":            {pnp.ERROR_DISK_FULL, 112},
	"ERROR_SEM_TIMEOUT":          {pnp.ERROR_SEM_TIMEOUT, 121},
	"ERROR_INSUFFICIENT_BUFFER":  {pnp.ERROR_INSUFFICIENT_BUFFER, 122},
	"ERROR_BUSY":                 {pnp.ERROR_BUSY, 170},
	"ERROR_BAD_PIPE":             {pnp.ERROR_BAD_PIPE, 230},
	"ERROR_PIPE_BUSY":            {pnp.ERROR_PIPE_BUSY, 231},
	"ERROR_NO_DATA":              {pnp.ERROR_NO_DATA, 232},
	"ERROR_PIPE_NOT_CONNECTED":   {pnp.ERROR_PIPE_NOT_CONNECTED, 233},
	"ERROR_MORE_DATA":            {pnp.ERROR_MORE_DATA, 234},
	"ERROR_OPERATION_ABORTED":    {pnp.ERROR_OPERATION_ABORTED, 995},
	"ERROR_IO_DEVICE":            {pnp.ERROR_IO_DEVICE, 1117},
	"ERROR_DEVICE_NOT_CONNECTED": {pnp.ERROR_DEVICE_NOT_CONNECTED, 1167},
	"ERROR_CANCELLED":            {pnp.ERROR_CANCELLED, 1223},
	"ERROR_NO_SYSTEM_RESOURCES":  {pnp.ERROR_NO_SYSTEM_RESOURCES, 1450},
	"ERROR_NOT_ENOUGH_QUOTA":     {pnp.ERROR_NOT_ENOUGH_QUOTA, 1816},
}

func TestHRESULTNames(t *testing.T) {
	for name, r := range results {
		number := r.number
		if strings.HasPrefix(name, "ERROR_") {
			number |= 0x80070000 // HRESULT_FROM_WIN32
		}
		if uint32(r.hr) != number {
			t.Errorf("%s is 0x%08X, not 0x%08X", name, uint32(r.hr), number)
		}
		if r.hr.Name() != name {
			t.Errorf("the name of %s is %s", name, r.hr.Name())
		}
		text := r.hr.Error()
		if want := fmt.Sprintf(" (%s 0x%08X)", name, number); !strings.HasSuffix(text, want) || len(text) == len(want) {
			t.Errorf("the text of %s is %q", name, text)
		}
	}
}

// TestEveryHRESULTIsTested finds constants that are missing in results.
func TestEveryHRESULTIsTested(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "hresult.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		d, ok := node.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			return true
		}
		for _, spec := range d.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if _, ok := results[name.Name]; !ok && name.IsExported() {
					t.Errorf("%s is missing here", name.Name)
				}
				n++
			}
		}
		return true
	})
	if n < len(results) {
		t.Errorf("found %d constants", n)
	}
}

func TestHRESULTWithoutName(t *testing.T) {
	for hr, want := range map[pnp.HRESULT][2]string{
		0x80070539: {"0x80070539", "Win32 error 1337 (0x80070539)"},
		0x8007ffff: {"0x8007FFFF", "Win32 error 65535 (0x8007FFFF)"},
		0x80040005: {"0x80040005", "HRESULT 0x80040005"},
		0x00000001: {"0x00000001", "HRESULT 0x00000001"},
	} {
		if hr.Name() != want[0] || hr.Error() != want[1] {
			t.Errorf("%s, %q", hr.Name(), hr.Error())
		}
	}
}

func TestFailed(t *testing.T) {
	for hr, failed := range map[pnp.HRESULT]bool{0: false, 1: false, 0x40000: false, 0x7fffffff: false,
		0x80000000: true, pnp.E_FAIL: true, pnp.ERROR_MORE_DATA: true, 0xffffffff: true} {
		if hr.Failed() != failed {
			t.Errorf("0x%08X: Failed %v", uint32(hr), hr.Failed())
		}
		if err := hr.Err(); (err != nil) != failed || failed && err != error(hr) {
			t.Errorf("0x%08X: Err %v", uint32(hr), err)
		}
	}
}

func TestHRESULTOf(t *testing.T) {
	_, missing := os.Open("testdata/missing")
	for _, c := range []struct {
		err  error
		want pnp.HRESULT
	}{
		{nil, pnp.S_OK},
		{errors.New("any"), pnp.E_FAIL},
		{pnp.ERROR_BUSY, pnp.ERROR_BUSY},
		{pnp.HRESULT(0x80040005), 0x80040005},
		{io.EOF, pnp.ERROR_HANDLE_EOF},
		{context.Canceled, pnp.ERROR_OPERATION_ABORTED},
		{context.DeadlineExceeded, pnp.ERROR_SEM_TIMEOUT},
		{fs.ErrNotExist, pnp.ERROR_FILE_NOT_FOUND},
		{fs.ErrPermission, pnp.ERROR_ACCESS_DENIED},
		{missing, pnp.ERROR_FILE_NOT_FOUND},

		{syscall.EPERM, pnp.ERROR_ACCESS_DENIED},
		{syscall.EACCES, pnp.ERROR_ACCESS_DENIED},
		{syscall.EISDIR, pnp.ERROR_ACCESS_DENIED},
		{syscall.EROFS, pnp.ERROR_WRITE_PROTECT},
		{syscall.ENOENT, pnp.ERROR_FILE_NOT_FOUND},
		{syscall.ENOTDIR, pnp.ERROR_FILE_NOT_FOUND},
		{syscall.ELOOP, pnp.ERROR_FILE_NOT_FOUND},
		{syscall.EEXIST, pnp.ERROR_FILE_EXISTS},
		{syscall.EBADF, pnp.ERROR_INVALID_HANDLE},
		{syscall.EINVAL, pnp.ERROR_INVALID_PARAMETER},
		{syscall.EOVERFLOW, pnp.ERROR_INVALID_PARAMETER},
		{syscall.ENAMETOOLONG, pnp.ERROR_INVALID_PARAMETER},
		{syscall.ENOTTY, pnp.ERROR_INVALID_FUNCTION},
		{syscall.ENOSYS, pnp.ERROR_NOT_SUPPORTED},
		{syscall.EOPNOTSUPP, pnp.ERROR_NOT_SUPPORTED},
		{syscall.ENOTBLK, pnp.ERROR_NOT_SUPPORTED},
		{syscall.ENOMEM, pnp.ERROR_NOT_ENOUGH_MEMORY},
		{syscall.EMFILE, pnp.ERROR_TOO_MANY_OPEN_FILES},
		{syscall.ENFILE, pnp.ERROR_TOO_MANY_OPEN_FILES},
		{syscall.EBUSY, pnp.ERROR_BUSY},
		{syscall.ETXTBSY, pnp.ERROR_SHARING_VIOLATION},
		{syscall.EAGAIN, pnp.ERROR_NOT_READY},
		{syscall.EINTR, pnp.ERROR_OPERATION_ABORTED},
		{syscall.ECANCELED, pnp.ERROR_OPERATION_ABORTED},
		{syscall.ENOSPC, pnp.ERROR_DISK_FULL},
		{syscall.EDQUOT, pnp.ERROR_DISK_FULL},
		{syscall.EFBIG, pnp.ERROR_DISK_FULL},
		{syscall.EPIPE, pnp.ERROR_BROKEN_PIPE},
		{syscall.ETIMEDOUT, pnp.ERROR_SEM_TIMEOUT},
		{syscall.EIO, pnp.ERROR_IO_DEVICE},
		{syscall.EREMOTEIO, pnp.ERROR_IO_DEVICE},
		{syscall.EPROTO, pnp.ERROR_IO_DEVICE},
		{syscall.ENODEV, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{syscall.ENXIO, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{syscall.ESHUTDOWN, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{syscall.ENOTCONN, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{syscall.ECONNREFUSED, pnp.ERROR_DEVICE_NOT_CONNECTED},
		{syscall.EXDEV, pnp.ERROR_GEN_FAILURE}, // not in the table
	} {
		wraps := map[string]error{"itself": c.err}
		if c.err != nil {
			wraps["fmt"] = fmt.Errorf("reading: %w", c.err)
			wraps["path"] = &fs.PathError{Op: "read", Path: "/dev/x", Err: c.err}
			wraps["syscall"] = fmt.Errorf("deep: %w", &fs.PathError{Op: "read", Path: "/dev/x", Err: os.NewSyscallError("ioctl", c.err)})
			wraps["joined"] = errors.Join(errors.New("other"), c.err)
		}
		for how, err := range wraps {
			if got := pnp.HRESULTOf(err); got != c.want {
				t.Errorf("%v (%s): %v, not %v", err, how, got, c.want)
			}
		}
	}
}

// TestEveryErrnoFails: no errno becomes a success.
func TestEveryErrnoFails(t *testing.T) {
	for n := syscall.Errno(1); n < 200; n++ {
		if hr := pnp.HRESULTOf(n); !hr.Failed() || hr&0xffff0000 != 0x80070000 {
			t.Errorf("%d %v: %v", n, n, hr)
		}
	}
}

// TestHRESULTBeforeErrno: an HRESULT counts more than an errno beside it.
func TestHRESULTBeforeErrno(t *testing.T) {
	err := fmt.Errorf("%w: %w", pnp.ERROR_SHARING_VIOLATION, syscall.EBUSY)
	if hr := pnp.HRESULTOf(err); hr != pnp.ERROR_SHARING_VIOLATION {
		t.Errorf("%v", hr)
	}
	if !errors.Is(err, pnp.ERROR_SHARING_VIOLATION) {
		t.Error("the HRESULT is not found in the chain")
	}
}
