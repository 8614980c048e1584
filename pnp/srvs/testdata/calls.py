# SPDX-License-Identifier: Apache-2.0
"""Calls each method of the Server Service at each level with impacket.

Usage: calls.py PORT

Prints one JSON object a line: the opnum, the level, the return value that is
expected here, the one that came, and what impacket decoded of the answer.
"""

import json
import sys

from impacket.dcerpc.v5 import ndr, rpcrt, srvs, transport
from impacket.dcerpc.v5.dtypes import LPLONG, NULL, ULONG
from impacket.dcerpc.v5.ndr import NDRCALL, NDRPOINTER, NDRUniConformantArray

ALL = 0xFFFFFFFF
DENIED, NO_FILE, NOT_SUPPORTED, INVALID = 5, 2, 0x32, 0x57
NO_SHARE = 0x906
OP_RANGE = 0x1C010002


# What impacket has otherwise than the IDL of [MS-SRVS] section 6.
class SetInfo(NDRCALL):
    opnum = 22
    structure = srvs.NetrServerSetInfo.structure + (("ParmErr", LPLONG),)


class Words(NDRUniConformantArray):
    item = "<H"


class NameCanonicalizeResponse(NDRCALL):
    structure = (("Outbuf", Words), ("ErrorCode", ULONG))


class CreateExitPointResponse(NDRCALL):
    structure = (("ShortPrefix", Words), ("ErrorCode", ULONG))


class DelCommitResponse(NDRCALL):
    structure = (("ContextHandle", srvs.SHARE_DEL_HANDLE), ("ErrorCode", ULONG))


class SiteList(NDRPOINTER):
    referent = (("Data", srvs.LPDFS_SITELIST_INFO),)


class ReportSiteInfo(NDRCALL):
    opnum = 52
    structure = (("ServerName", srvs.PSRVSVC_HANDLE), ("ppSiteInfo", SiteList))


class ReportSiteInfoResponse(NDRCALL):
    structure = (("ppSiteInfo", SiteList), ("ErrorCode", ULONG))


RESPONSES = {
    34: NameCanonicalizeResponse,
    38: DelCommitResponse,
    48: CreateExitPointResponse,
    52: ReportSiteInfoResponse,
}


def plain(x):
    """Returns an object of impacket as what JSON has."""
    if isinstance(x, (ndr.NDRPOINTER, ndr.NDRPOINTERNULL)):
        return None if x.fields["ReferentID"] == 0 else plain(x.fields["Data"])
    if isinstance(x, ndr.NDR):
        fields = x.fields
        if "ActualCount" in fields and not isinstance(fields["Data"], list):
            data = fields["Data"]
            text = data if isinstance(data, str) else data.decode("utf-16le")
            assert text.endswith("\0"), text
            return text[:-1]
        if "Data" in fields:
            return plain(fields["Data"])
        return {name: plain(value) for name, value in fields.items()}
    if isinstance(x, list):
        return bytes_or_list(x)
    if isinstance(x, bytes):
        return x.hex()
    return x


def bytes_or_list(x):
    if x and all(isinstance(i, bytes) and len(i) == 1 for i in x):
        return b"".join(x).hex()
    return [plain(i) for i in x]


class Caller:
    def __init__(self, port):
        self.rpc = transport.DCERPCTransportFactory("ncacn_ip_tcp:127.0.0.1[%s]" % port).get_dce_rpc()
        self.rpc.connect()
        self.rpc.bind(srvs.MSRPC_UUID_SRVS)

    def raw(self, opnum, level, want):
        """Calls an opnum that has no parameters."""
        try:
            self.rpc.call(opnum, b"")
            stub = self.rpc.recv()
            code = int.from_bytes(stub[-4:], "little")
            answer = {"Stub": stub.hex()}
        except rpcrt.DCERPCException as e:
            code, answer = e.get_error_code(), {"Fault": e.get_error_code()}
            if code is None:  # impacket has no name for the status and tells it as text
                text = str(e)
                code = OP_RANGE if "nca_s_op_rng_error" in text or "1c010002" in text else -1
                answer = {"Fault": code}
        report(opnum, level, want, code, answer)

    def call(self, level, want, cls, **parameters):
        request = cls()
        if "ServerName" in request.fields:
            request["ServerName"] = NULL
        for name, value in parameters.items():
            if callable(value):
                value(request[name])
            else:
                request[name] = value
        self.rpc.call(cls.opnum, request)
        stub = self.rpc.recv()
        response = RESPONSES.get(cls.opnum) or srvs.OPNUMS[cls.opnum][1]
        answer = response(stub)
        assert len(answer.getData()) == len(stub), (cls.__name__, level, stub.hex(), answer.getData().hex())
        report(cls.opnum, level, want, answer["ErrorCode"], plain(answer))


def report(opnum, level, want, code, answer):
    answer.pop("ErrorCode", None)
    print(json.dumps({"opnum": opnum, "level": level, "want": want, "code": code, "answer": answer}))


def enum_level(level):
    """Sets the level of an ENUM_STRUCT, with an empty container."""

    def fill(struct):
        struct["Level"] = level
        union = struct.structure[1][0]
        struct[union]["tag"] = level
        struct[union]["Level%d" % level]["Buffer"] = NULL

    return fill


def structure(**members):
    """Sets members by what follows the prefix of their names. The pointers among the
    others are null."""

    def fill(fields):
        for member, kind in fields.structure:
            short = member.split("_", 1)[-1]
            if short in members:
                fields[member] = members[short]
            elif issubclass(kind, NDRPOINTER):
                fields[member] = NULL

    return fill


def arm(level, name, **members):
    """Sets the arm of a union."""

    def fill(union):
        union["tag"] = level
        structure(**members)(union[name + str(level)])

    return fill


# Members of a server that may all be set.
SERVER = dict(
    comment="c\0", users=1, disc=1, hidden=0, announce=1, anndelta=1, userpath="c:\\\0", domain="d\0",
    sessopens=1, sessvcs=1, opensearch=1, maxworkitems=1, maxrawbuflen=65535, sessusers=1, sessconns=1,
    maxpagedmemoryusage=0x400000, maxnonpagedmemoryusage=0x400000, minkeepsearch=5, maxkeepsearch=10,
    minkeepcomplsearch=1, maxkeepcomplsearch=2, scavtimeout=1, maxmpxct=1, oplockbreakwait=10,
    oplockbreakresponsewait=10, minfreeconnections=2, maxfreeconnections=2, initsesstable=1, initconntable=1,
    initfiletable=1, initsearchtable=1, alertschedule=1, errorthreshold=1, networkerrorthreshold=1,
    maxworkitemidletime=10,
)

# The levels of NetrServerSetInfo.
SET_LEVELS = (
    [101, 102, 502, 503, 599, 1005, 1107, 1010, 1016, 1017, 1018, 1501, 1502, 1503, 1506]
    + list(range(1510, 1517)) + [1518, 1523, 1528, 1529, 1530, 1533, 1534, 1535, 1536]
    + list(range(1538, 1551)) + list(range(1552, 1557))
)

ADDRESS = [bytes([c]) for c in b"THIN-CLIENT7    "]
TRANSPORT = dict(numberofvcs=1, transportname="\\Device\\RdpDvc\0", transportaddress=ADDRESS, transportaddresslength=16,
                 networkaddress="000000000000\0")
DESCRIPTOR = bytes.fromhex("0100008000000000000000000000000000000000")


def main():
    c = Caller(sys.argv[1])
    for opnum in range(8):
        c.raw(opnum, None, NOT_SUPPORTED)
    for opnum in (29, 42, 47):
        c.raw(opnum, None, OP_RANGE)

    for level in (0, 1):
        c.call(level, 0, srvs.NetrConnectionEnum, Qualifier="\\\\RDPHOST\0", InfoStruct=enum_level(level),
               PreferedMaximumLength=ALL, ResumeHandle=0)
    for level in (2, 3):
        c.call(level, 0, srvs.NetrFileEnum, BasePath=NULL, UserName=NULL, InfoStruct=enum_level(level),
               PreferedMaximumLength=ALL, ResumeHandle=NULL)
        c.call(level, 0, srvs.NetrFileGetInfo, FileId=1, Level=level)
    for level in (0, 1, 2, 10, 502):
        c.call(level, 0, srvs.NetrSessionEnum, ClientName=NULL, UserName="alice\0", InfoStruct=enum_level(level),
               PreferedMaximumLength=ALL, ResumeHandle=0)
    for level in (2, 502, 503):
        c.call(level, DENIED, srvs.NetrShareAdd, Level=level, ParmErr=0,
               InfoStruct=arm(level, "ShareInfo", netname="new\0", path="C:\\new\0"))
    for level in (0, 1, 2, 501, 502, 503):
        c.call(level, 0, srvs.NetrShareEnum, InfoStruct=enum_level(level), PreferedMaximumLength=ALL, ResumeHandle=0)
        c.call(level, 0, srvs.NetrShareGetInfo, NetName="Scale\0", Level=level)
        if level != 501:
            c.call(level, 0, srvs.NetrShareEnumSticky, InfoStruct=enum_level(level), PreferedMaximumLength=ALL, ResumeHandle=0)
    c.call(1005, 0, srvs.NetrShareGetInfo, NetName="home\0", Level=1005)
    for level in (1, 2, 502, 503, 1004, 1005, 1006, 1501):
        c.call(level, DENIED, srvs.NetrShareSetInfo, NetName="home\0", Level=level, ParmErr=0,
               ShareInfo=arm(level, "ShareInfo", remark="r\0"))
    c.call(None, DENIED, srvs.NetrShareDel, NetName="home\0", Reserved=0)
    c.call(None, NO_SHARE, srvs.NetrShareDelSticky, NetName="home\0", Reserved=0)
    c.call(None, 0, srvs.NetrShareCheck, Device="C:\\home\0")
    for level in (100, 101, 102, 103, 502, 503):
        c.call(level, 0, srvs.NetrServerGetInfo, Level=level)
    for level in SET_LEVELS:
        c.call(level, DENIED, SetInfo, Level=level, InfoStruct=arm(level, "ServerInfo", **SERVER), ParmErr=7)
    c.call(0, 0, srvs.NetrServerDiskEnum, Level=0, DiskInfoStruct=structure(EntriesRead=0), PreferedMaximumLength=ALL, ResumeHandle=0)
    c.call(0, 0, srvs.NetrServerStatisticsGet, Service=NULL, Level=0, Options=0)
    c.call(0, DENIED, srvs.NetrServerTransportAdd, Level=0, Buffer=structure(**TRANSPORT))
    for level in (0, 1, 2):
        c.call(level, 0, srvs.NetrServerTransportEnum, InfoStruct=enum_level(level), PreferedMaximumLength=ALL, ResumeHandle=0)
    c.call(0, DENIED, srvs.NetrServerTransportDel, Level=0, Buffer=structure(**TRANSPORT))
    c.call(None, 0, srvs.NetrRemoteTOD)
    for flags in (0, 1):
        c.call(flags, 0, srvs.NetprPathType, PathName="C:\\a\0", Flags=flags)
    for flags in (0, 1, 0x80000000, 0x80000001):
        c.call(flags, 0, srvs.NetprPathCanonicalize, PathName="a/./b\0", OutbufLen=20, Prefix="C:\0", PathType=0, Flags=flags)
    for flags in (0, 1):
        c.call(flags, ALL, srvs.NetprPathCompare, PathName1="a\0", PathName2="B\0", PathType=0, Flags=flags)
    for kind in range(1, 14):
        c.call(kind, 0, srvs.NetprNameValidate, Name="a\0", NameType=kind, Flags=0)
        c.call(kind, 0, srvs.NetprNameCanonicalize, Name="a\0", OutbufLen=5, NameType=kind, Flags=0x80000000)
        c.call(kind, 1, srvs.NetprNameCompare, Name1="b\0", Name2="a\0", NameType=kind, Flags=0)
    c.call(None, DENIED, srvs.NetrShareDelStart, NetName="home\0", Reserved=0)
    c.call(None, INVALID, srvs.NetrShareDelCommit, ContextHandle=bytes(20))
    c.call(None, 0, srvs.NetrpGetFileSecurity, ShareName="home\0", lpFileName="\\\0", RequestedInformation=0)
    c.call(None, DENIED, srvs.NetrpSetFileSecurity, ShareName="home\0", lpFileName="\\\0", SecurityInformation=4,
           SecurityDescriptor=structure(Length=len(DESCRIPTOR), Buffer=[bytes([b]) for b in DESCRIPTOR]))
    for level in (0, 1, 2, 3):
        c.call(level, DENIED, srvs.NetrServerTransportAddEx, Level=level,
               Buffer=arm(level, "Transport", domain="d\0", password=bytes(256), **TRANSPORT))
    uid = bytes(range(16))
    c.call(None, NO_FILE, srvs.NetrDfsGetVersion)
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsCreateLocalPartition, ShareName="s\0", EntryUid=uid, EntryPrefix="p\0", ShortName="n\0",
           RelationInfo=structure(Count=0), Force=0)
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsDeleteLocalPartition, Uid=uid, Prefix="p\0")
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsSetLocalVolumeState, Uid=uid, Prefix="p\0", State=0)
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsCreateExitPoint, Uid=uid, Prefix="p\0", Type=0, ShortPrefixLen=3)
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsDeleteExitPoint, Uid=uid, Prefix="p\0", Type=0)
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsModifyPrefix, Uid=uid, Prefix="p\0")
    c.call(None, NOT_SUPPORTED, srvs.NetrDfsFixLocalVolume, VolumeName="v\0", EntryType=0, ServiceType=0, StgId="s\0", EntryUid=uid,
           EntryPrefix="p\0", RelationInfo=structure(Count=0), CreateDisposition=0)
    c.call(None, NOT_SUPPORTED, ReportSiteInfo, ppSiteInfo=NULL)
    for level in (0, 1):
        c.call(level, DENIED, srvs.NetrServerTransportDelEx, Level=level,
               Buffer=arm(level, "Transport", domain="d\0", password=bytes(256), **TRANSPORT))
    c.call(0, DENIED, srvs.NetrServerAliasAdd, Level=0,
           InfoStruct=arm(0, "ServerAliasInfo", alias="a\0", target="thin-client7\0"))
    c.call(0, 0, srvs.NetrServerAliasEnum, InfoStruct=enum_level(0), PreferedMaximumLength=ALL, ResumeHandle=0)
    c.call(0, NO_SHARE, srvs.NetrServerAliasDel, Level=0, InfoStruct=arm(0, "ServerAliasInfo", alias="a\0"))
    c.call(503, DENIED, srvs.NetrShareDelEx, Level=503, ShareInfo=arm(503, "ShareInfo", netname="home\0"))

    # Last, as they change what the others tell of.
    c.call(None, 0, srvs.NetrFileClose, FileId=2)
    c.call(None, 0, srvs.NetrSessionDel, ClientName="\\\\RDPHOST\0", UserName=NULL)


main()
