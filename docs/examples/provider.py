#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thermometer for /dvc:pnpdr,provider:PATH; docs/providers.md explains the messages.

Usage: provider.py PATH. A read gives the temperature as text, a write sets it. Above 50
degrees every handle gets a custom event. IOControl 0x00222000 gives tenths of a degree
as a u32."""
import os, pathlib, socket, struct, sys, threading, uuid

TOO_HOT = uuid.UUID("5C5F2E64-9BD5-4E1A-9F3C-7F0E3A0E8B11")
INVALID_FUNCTION, INVALID_PARAMETER = 0x80070001, 0x80070057
READ, WRITE, IOCONTROL, CREATE_FILE, CAPABILITIES = 0, 1, 2, 4, 5

lock = threading.Lock()
temperature = 21.5
handles = set()  # the connections that have opened the device


def counted(data):
    return struct.pack("<I", len(data)) + data


def receive(stream):
    """Returns the next message; None at the end."""
    size = stream.read(4)
    return stream.read(struct.unpack("<I", size)[0]) if len(size) == 4 else None


def pnpdr(conn, stream):
    """Exchanges versions and, once the user has logged on, announces the device."""
    while m := receive(stream):
        packet_id = struct.unpack_from("<I", m, 4)[0]
        if packet_id == 0x65:  # Server Version: answer with ours
            conn.sendall(counted(struct.pack("<5I", 20, 0x65, 1, 6, 1)))
        elif packet_id == 0x67:  # Authenticated Client: Client Device Addition
            fields = ["EXAMPLE\\Thermometer\0\0", "\0", "Thermometer"]
            d = counted(b"") + b"".join(counted(s.encode("utf-16-le")) for s in fields)
            d = struct.pack("<I", 1) + counted(d + struct.pack("<II", 4, 2))
            conn.sendall(counted(struct.pack("<3I", 12 + len(d), 0x66, 1) + d))


def answer(function, m):
    """Returns what follows the header of the reply."""
    global temperature
    result, data = 0, b""
    if function == CAPABILITIES:
        return struct.pack("<H", 6)
    if function == CREATE_FILE:
        return struct.pack("<I", 0)
    if function == WRITE:
        size = struct.unpack_from("<I", m, 8)[0]
        try:
            temperature = float(m[20 : 20 + size])
        except ValueError:
            result, size = INVALID_PARAMETER, 0
        return struct.pack("<II", result, size)
    if function == READ:
        data = (b"%.1f\n" % temperature)[: struct.unpack_from("<I", m, 8)[0]]
    else:
        code, _, room = struct.unpack_from("<III", m, 8)
        if code == 0x00222000 and room >= 4:
            data = struct.pack("<I", int(temperature * 10))
        else:
            result = INVALID_FUNCTION
    return struct.pack("<I", result) + counted(data) + b"\0"


def handle(conn, stream):
    """Serves one handle. Each request is answered at once, so none is ever cancelled."""
    while m := receive(stream):
        request, function = struct.unpack_from("<II", m)
        if function not in (READ, WRITE, IOCONTROL, CREATE_FILE, CAPABILITIES):
            continue
        with lock:
            conn.sendall(counted(struct.pack("<I", request & 0xFFFFFF) + answer(function, m)))
            if function == CREATE_FILE:
                handles.add(conn)
            if function == WRITE and temperature > 50:
                event = struct.pack("<I", 1 << 24) + TOO_HOT.bytes_le + counted(b"") + b"\0"
                for h in handles:
                    h.sendall(counted(event))


def serve(conn):
    with conn, conn.makefile("rb") as stream:
        channels = {b"PNPDR": pnpdr, b"FileRedirectorChannel": handle, None: lambda *_: None}
        channels[receive(stream)](conn, stream)
        with lock:
            handles.discard(conn)


os.umask(0o077)  # nobody else may connect
if pathlib.Path(sys.argv[1]).is_socket():
    os.unlink(sys.argv[1])  # a process that was killed has left it
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
