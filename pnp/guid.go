package pnp

import "github.com/google/uuid"

// GUID is a globally unique identifier in the memory and wire layout of
// [MS-DTYP] 2.3.4: the first three groups little-endian, the rest as written.
type GUID [16]byte

// NoContainer is Windows' GUID_NULL_CONTAINER_ID: a device that is part of no
// container.
var NoContainer = MustGUID("{00000000-0000-0000-FFFF-FFFFFFFFFFFF}")

// ParseGUID reads the usual text form, with or without braces.
func ParseGUID(s string) (GUID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return GUID{}, err
	}
	return swapGUID(u), nil
}

// MustGUID is ParseGUID for constants; it panics if s is no GUID.
func MustGUID(s string) GUID {
	return swapGUID(uuid.MustParse(s))
}

// String returns the registry form, {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX} in
// lower case.
func (g GUID) String() string {
	return "{" + uuid.UUID(swapGUID(g)).String() + "}"
}

// swapGUID turns RFC 9562 byte order into MS-DTYP's and back.
func swapGUID(b [16]byte) GUID {
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}
