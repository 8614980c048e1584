// SPDX-License-Identifier: Apache-2.0

package srvs

// Return values ([MS-SRVS] 2.2.2.10).
const (
	nerrSuccess            = 0
	errorFileNotFound      = 2
	errorAccessDenied      = 5
	errorNotEnoughMemory   = 8
	errorNotSupported      = 0x32
	errorInvalidParameter  = 0x57
	errorInvalidName       = 0x7B
	errorInvalidLevel      = 0x7C
	errorMoreData          = 0xEA
	nerrDuplicateShare     = 0x846
	nerrBufTooSmall        = 0x84B
	nerrUserNotFound       = 0x8AD
	nerrNetNameNotFound    = 0x906
	nerrDeviceNotShared    = 0x907
	nerrClientNameNotFound = 0x908
	nerrFileIDNotFound     = 0x90A
	nerrInvalidComputer    = 0x92F
)

const (
	maxPreferredLength = 0xFFFFFFFF // MAX_PREFERRED_LENGTH, 2.2.2.2
	unlimited          = 0xFFFFFFFF // uses of a share, users of a server
	maxRemark          = 48         // characters of a share's remark
	maxShareName       = 80         // characters of a share's name
	maxQualifier       = 1024       // characters of a qualifier, with its NUL
	typeMask           = 3          // of a share's type, without its bits

	platformNT = 500 // PLATFORM_ID_NT, 2.2.2.6

	svTypeWorkstation = 0x001 // SV_TYPE_*, 2.2.2.7
	svTypeServer      = 0x002
	svTypePrintQueue  = 0x200
	svTypeXenix       = 0x800

	cscNone    = 0x30   // CSC_CACHE_NONE, 2.2.4.29
	enableHash = 0x2000 // SHI1005_FLAGS_ENABLE_HASH
)

// Indexes that ParmErr gets (2.2.2.11).
const (
	parmNetname    = 1
	parmType       = 3
	parmRemark     = 4
	parmPath       = 8
	parmDescriptor = 501
)

// tooLong tells whether a qualifier is longer than its section allows.
func tooLong(s []uint16) bool { return len(s)+1 > maxQualifier }
