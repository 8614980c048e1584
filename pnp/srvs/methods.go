// SPDX-License-Identifier: Apache-2.0

package srvs

// A method is a row of the table of methods. One without a function cannot be
// called: it gets ERROR_NOT_SUPPORTED up to lastReserved and a fault beyond.
type method struct {
	name    string
	section string // of [MS-SRVS]
	new     func() params
}

// lastReserved is the last of the opnums that are reserved but answered.
const lastReserved = 7

// of makes the parameters of a method.
func of[T any, P interface {
	*T
	params
}]() params {
	return P(new(T))
}

// methods are those of 3.1.4 by their opnum.
var methods = [...]method{
	0:  {name: "Opnum0NotUsedOnWire", section: "3.1.4"},
	1:  {name: "Opnum1NotUsedOnWire", section: "3.1.4"},
	2:  {name: "Opnum2NotUsedOnWire", section: "3.1.4"},
	3:  {name: "Opnum3NotUsedOnWire", section: "3.1.4"},
	4:  {name: "Opnum4NotUsedOnWire", section: "3.1.4"},
	5:  {name: "Opnum5NotUsedOnWire", section: "3.1.4"},
	6:  {name: "Opnum6NotUsedOnWire", section: "3.1.4"},
	7:  {name: "Opnum7NotUsedOnWire", section: "3.1.4"},
	8:  {"NetrConnectionEnum", "3.1.4.1", of[netrConnectionEnum]},
	9:  {"NetrFileEnum", "3.1.4.2", of[netrFileEnum]},
	10: {"NetrFileGetInfo", "3.1.4.3", of[netrFileGetInfo]},
	11: {"NetrFileClose", "3.1.4.4", of[netrFileClose]},
	12: {"NetrSessionEnum", "3.1.4.5", of[netrSessionEnum]},
	13: {"NetrSessionDel", "3.1.4.6", of[netrSessionDel]},
	14: {"NetrShareAdd", "3.1.4.7", of[netrShareAdd]},
	15: {"NetrShareEnum", "3.1.4.8", of[netrShareEnum]},
	16: {"NetrShareGetInfo", "3.1.4.10", of[netrShareGetInfo]},
	17: {"NetrShareSetInfo", "3.1.4.11", of[netrShareSetInfo]},
	18: {"NetrShareDel", "3.1.4.12", of[netrShareDel]},
	19: {"NetrShareDelSticky", "3.1.4.13", of[netrShareDelSticky]},
	20: {"NetrShareCheck", "3.1.4.16", of[netrShareCheck]},
	21: {"NetrServerGetInfo", "3.1.4.17", of[netrServerGetInfo]},
	22: {"NetrServerSetInfo", "3.1.4.18", of[netrServerSetInfo]},
	23: {"NetrServerDiskEnum", "3.1.4.19", of[netrServerDiskEnum]},
	24: {"NetrServerStatisticsGet", "3.1.4.20", of[netrServerStatisticsGet]},
	25: {"NetrServerTransportAdd", "3.1.4.22", of[netrServerTransportAdd]},
	26: {"NetrServerTransportEnum", "3.1.4.24", of[netrServerTransportEnum]},
	27: {"NetrServerTransportDel", "3.1.4.25", of[netrServerTransportDel]},
	28: {"NetrRemoteTOD", "3.1.4.21", of[netrRemoteTOD]},
	29: {name: "Opnum29NotUsedOnWire", section: "3.1.4"},
	30: {"NetprPathType", "3.1.4.29", of[netprPathType]},
	31: {"NetprPathCanonicalize", "3.1.4.30", of[netprPathCanonicalize]},
	32: {"NetprPathCompare", "3.1.4.31", of[netprPathCompare]},
	33: {"NetprNameValidate", "3.1.4.32", of[netprNameValidate]},
	34: {"NetprNameCanonicalize", "3.1.4.33", of[netprNameCanonicalize]},
	35: {"NetprNameCompare", "3.1.4.34", of[netprNameCompare]},
	36: {"NetrShareEnumSticky", "3.1.4.9", of[netrShareEnumSticky]},
	37: {"NetrShareDelStart", "3.1.4.14", of[netrShareDelStart]},
	38: {"NetrShareDelCommit", "3.1.4.15", of[netrShareDelCommit]},
	39: {"NetrpGetFileSecurity", "3.1.4.27", of[netrpGetFileSecurity]},
	40: {"NetrpSetFileSecurity", "3.1.4.28", of[netrpSetFileSecurity]},
	41: {"NetrServerTransportAddEx", "3.1.4.23", of[netrServerTransportAddEx]},
	42: {name: "Opnum42NotUsedOnWire", section: "3.1.4"},
	43: {"NetrDfsGetVersion", "3.1.4.35", of[netrDfsGetVersion]},
	44: {"NetrDfsCreateLocalPartition", "3.1.4.36", of[netrDfsCreateLocalPartition]},
	45: {"NetrDfsDeleteLocalPartition", "3.1.4.37", of[netrDfsDeleteLocalPartition]},
	46: {"NetrDfsSetLocalVolumeState", "3.1.4.38", of[netrDfsSetLocalVolumeState]},
	47: {name: "Opnum47NotUsedOnWire", section: "3.1.4"},
	48: {"NetrDfsCreateExitPoint", "3.1.4.39", of[netrDfsCreateExitPoint]},
	49: {"NetrDfsDeleteExitPoint", "3.1.4.41", of[netrDfsDeleteExitPoint]},
	50: {"NetrDfsModifyPrefix", "3.1.4.40", of[netrDfsModifyPrefix]},
	51: {"NetrDfsFixLocalVolume", "3.1.4.42", of[netrDfsFixLocalVolume]},
	52: {"NetrDfsManagerReportSiteInfo", "3.1.4.43", of[netrDfsManagerReportSiteInfo]},
	53: {"NetrServerTransportDelEx", "3.1.4.26", of[netrServerTransportDelEx]},
	54: {"NetrServerAliasAdd", "3.1.4.44", of[netrServerAliasAdd]},
	55: {"NetrServerAliasEnum", "3.1.4.45", of[netrServerAliasEnum]},
	56: {"NetrServerAliasDel", "3.1.4.46", of[netrServerAliasDel]},
	57: {"NetrShareDelEx", "3.1.4.47", of[netrShareDelEx]},
}

// blocks tells whether a method may wait: for a handle that is ended, which may be the one
// that the call came by, or for a file system.
func blocks(opnum uint16) bool {
	switch methods[min(int(opnum), len(methods)-1)].name {
	case "NetrFileClose", "NetrSessionDel", "NetrpGetFileSecurity", "NetrpSetFileSecurity":
		return true
	}
	return false
}
