/* SPDX-License-Identifier: Apache-2.0 */
/**
 * freerdp-pnpdr: Plug and Play device redirection for FreeRDP
 *
 * Compile-time check that one binary serves FreeRDP 2.11 and 3.x: everything
 * that the shim uses has the same place and size in the headers of both. It is
 * part of every build, and the tests compile it against each version alone.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#include <stddef.h>

#include "headers.h"

#define PTR sizeof(void*)
#define AT(type, member, place)                                                        \
	_Static_assert(offsetof(type, member) == (place), #type "." #member " has moved"); \
	_Static_assert(sizeof(((type*)0)->member) == PTR, #type "." #member " has another size")

AT(IWTSVirtualChannel, Write, 0);
AT(IWTSVirtualChannel, Close, 1 * PTR);

AT(IWTSVirtualChannelManager, CreateListener, 0);

AT(IWTSPlugin, Initialize, 0);
AT(IWTSPlugin, Connected, 1 * PTR);
AT(IWTSPlugin, Disconnected, 2 * PTR);
AT(IWTSPlugin, Terminated, 3 * PTR);
AT(IWTSPlugin, Attached, 4 * PTR);
AT(IWTSPlugin, Detached, 5 * PTR);
AT(IWTSPlugin, pInterface, 6 * PTR);
_Static_assert(sizeof(IWTSPlugin) == 7 * PTR, "IWTSPlugin has grown");

/* 3.x appends one pointer to these two, for which the shim leaves room. */
AT(IWTSListenerCallback, OnNewChannelConnection, 0);
_Static_assert(sizeof(IWTSListenerCallback) <= 2 * PTR, "IWTSListenerCallback has grown");
AT(IWTSVirtualChannelCallback, OnDataReceived, 0);
AT(IWTSVirtualChannelCallback, OnOpen, 1 * PTR);
AT(IWTSVirtualChannelCallback, OnClose, 2 * PTR);
_Static_assert(sizeof(IWTSVirtualChannelCallback) <= 4 * PTR,
               "IWTSVirtualChannelCallback has grown");

AT(IDRDYNVC_ENTRY_POINTS, RegisterPlugin, 0);
AT(IDRDYNVC_ENTRY_POINTS, GetPlugin, 1 * PTR);
AT(IDRDYNVC_ENTRY_POINTS, GetPluginData, 2 * PTR);
AT(IDRDYNVC_ENTRY_POINTS, GetRdpSettings, 3 * PTR);

_Static_assert(offsetof(ADDIN_ARGV, argc) == 0, "ADDIN_ARGV.argc has moved");
AT(ADDIN_ARGV, argv, PTR);

AT(wStream, buffer, 0);
AT(wStream, pointer, 1 * PTR);
AT(wStream, length, 2 * PTR);

AT(struct rdp_freerdp, context, 0);
AT(struct rdp_context, rdp, 32 * sizeof(UINT64));

/* What the settings say of the session. */
#define KEY(name, number) _Static_assert(FreeRDP_##name == (number), #name " has another key")

KEY(instance, 0);
KEY(ServerHostname, 20);
KEY(Username, 21);
KEY(Domain, 23);
KEY(ClientHostname, 134);
KEY(DeviceCount, 4161);
KEY(DeviceArray, 4163);
_Static_assert(offsetof(RDPDR_DEVICE, Type) == 4, "RDPDR_DEVICE.Type has moved");
AT(RDPDR_DEVICE, Name, 8);
AT(RDPDR_DRIVE, Path, 8 + PTR);
AT(RDPDR_PRINTER, DriverName, 8 + PTR);
_Static_assert(RDPDR_DTYP_PRINT == 4 && RDPDR_DTYP_FILESYSTEM == 8,
               "a type of device has another number");

_Static_assert(NameSamCompatible == 2, "a format of names has another number");

_Static_assert(sizeof(UINT) == 4 && sizeof(ULONG) == 4 && sizeof(BOOL) == 4 &&
                   sizeof(EXTENDED_NAME_FORMAT) == 4 && sizeof(DWORD) == 4,
               "an integer type has another size");
