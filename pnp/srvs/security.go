// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"errors"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// securityParams begin the parameters of opnums 39 and 40.
type securityParams struct {
	serverName, shareName, fileName text
	information                     uint32
}

func (p *securityParams) code(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.shareName)
	c.String(&p.fileName)
	c.Uint32(&p.information)
}

// stat looks the file up in its share. Nothing outside the directory of the share
// is looked at.
func (p *securityParams) stat(r *request) (*unix.Stat_t, uint32) {
	x, ok := r.share(p.shareName)
	switch {
	case p.shareName == nil || !ok:
		return nil, nerrNetNameNotFound
	case containsAny(p.fileName, ":"):
		return nil, errorInvalidName
	case x.dir == "":
		return nil, errorFileNotFound
	}
	path := "."
	for _, component := range components(p.fileName) {
		path += "/" + goString(component)
	}
	var stat unix.Stat_t
	switch err := statBeneath(x.dir, path, &stat); {
	case err == nil:
		return &stat, nerrSuccess
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
		return nil, errorAccessDenied
	}
	return nil, errorFileNotFound
}

// statBeneath is stat of a path below dir. A path that leads out of it, by its
// components or by a link, is an error.
func statBeneath(dir, path string, stat *unix.Stat_t) error {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstat(fd, stat)
}

// netrpGetFileSecurity is opnum 39 (3.1.4.27).
type netrpGetFileSecurity struct {
	securityParams
	descriptor *adtDescriptor
}

// adtDescriptor is ADT_SECURITY_DESCRIPTOR (2.2.4.106).
type adtDescriptor struct {
	size uint32
	data []byte
}

func (x *adtDescriptor) code(c *ndr.Coder) {
	c.Uint32(&x.size)
	c.SizedOctets(&x.data, &x.size)
}

func (p *netrpGetFileSecurity) in(c *ndr.Coder) { p.code(c) }
func (p *netrpGetFileSecurity) out(c *ndr.Coder) {
	ndr.Pointer(c, &p.descriptor, func(x *adtDescriptor) { x.code(c) })
}

func (p *netrpGetFileSecurity) answer(r *request) uint32 {
	stat, code := p.stat(r)
	if code != nerrSuccess {
		return code
	}
	if p.information&infoSACL != 0 {
		return errorAccessDenied
	}
	data := descriptorOf(stat, p.information)
	p.descriptor = &adtDescriptor{uint32(len(data)), data}
	return nerrSuccess
}

// netrpSetFileSecurity is opnum 40 (3.1.4.28).
type netrpSetFileSecurity struct {
	securityParams
	descriptor adtDescriptor
}

func (p *netrpSetFileSecurity) in(c *ndr.Coder) {
	p.code(c)
	c.Construct(func() { p.descriptor.code(c) })
}

func (p *netrpSetFileSecurity) out(*ndr.Coder) {}

func (p *netrpSetFileSecurity) answer(r *request) uint32 {
	_, code := p.stat(r)
	switch {
	case code != nerrSuccess:
		return code
	case !validDescriptor(p.descriptor.data):
		return errorInvalidParameter
	}
	return errorAccessDenied
}
