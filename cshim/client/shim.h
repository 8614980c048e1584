/* SPDX-License-Identifier: Apache-2.0 */
/**
 * freerdp-pnpdr: Plug and Play device redirection for FreeRDP
 *
 * What the two halves of the client shim tell each other.
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

#ifndef PNPDR_CSHIM_CLIENT_SHIM_H
#define PNPDR_CSHIM_CLIENT_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* One dynamic channel. FreeRDP owns it between OnNewChannelConnection and
 * OnClose; Go may use it until pnpdrClosed returns and no longer. */
typedef struct pnpdr_channel pnpdr_channel;

/* Functions of FreeRDP with the types that suit all versions. */
typedef void (*freerdp_get_version_fn)(int* major, int* minor, int* revision);
typedef const void* (*freerdp_settings_get_pointer_fn)(const void* settings, size_t id);
typedef const char* (*freerdp_settings_get_string_fn)(const void* settings, size_t id);
typedef uint32_t (*freerdp_settings_get_uint32_fn)(const void* settings, size_t id);
typedef int32_t (*freerdp_get_stats_fn)(void* rdp, uint64_t* inBytes, uint64_t* outBytes,
                                        uint64_t* inPackets, uint64_t* outPackets);
typedef int32_t (*GetUserNameExA_fn)(int32_t format, char* name, uint32_t* size);
typedef void* (*WLog_Get_fn)(const char* name);
typedef int32_t (*WLog_IsLevelActive_fn)(void* log, uint32_t level);
/* line is size_t in 3.x and DWORD in 2.x: a size_t argument suits both */
typedef int32_t (*WLog_PrintMessage_fn)(void* log, uint32_t type, uint32_t level, size_t line,
                                        const char* file, const char* function, ...);

/* What the loading FreeRDP offers beyond the DVC interface, found at run time:
 * the library is linked to neither libfreerdp nor libwinpr, so that one binary
 * serves every version. A member that was not found is NULL. */
typedef struct
{
	int major; /* of FreeRDP; 0 if unknown */
	int minor;
	int revision;
	void* log; /* wLog*; with it the two functions are there */
	WLog_IsLevelActive_fn isLevelActive;
	WLog_PrintMessage_fn printMessage;
	freerdp_get_stats_fn getStats;
	void** instance;      /* freerdp*, of which the first member is the rdpContext* */
	const void* settings; /* rdpSettings*; changes later on other threads */
	freerdp_settings_get_pointer_fn getPointer;
	freerdp_settings_get_string_fn getString;
	freerdp_settings_get_uint32_fn getUint32;
	GetUserNameExA_fn getUserName;
} pnpdr_host;

/* What the user has set, for pnpdr_host_string. */
typedef enum
{
	PNPDR_USER,
	PNPDR_DOMAIN,
	PNPDR_CLIENT_NAME,
	PNPDR_SERVER_NAME
} pnpdr_setting;

/* A drive or printer that FreeRDP redirects. */
typedef struct
{
	int printer;
	const char* name;
	const char* detail; /* a drive's path, a printer's driver; may be NULL */
} pnpdr_device;

/* WLog levels; the same in all versions. */
enum
{
	PNPDR_LOG_DEBUG = 1,
	PNPDR_LOG_INFO = 2,
	PNPDR_LOG_WARN = 3,
	PNPDR_LOG_ERROR = 4
};

/* Queue len bytes, which are copied, as one message. Within pnpdrReceive, the last
 * message of its channel may be kept until that has returned; a failure then closes
 * the channel. len is not 0: FreeRDP would take that for a close. Returns 0 or
 * FreeRDP's error. */
uint32_t pnpdr_channel_write(pnpdr_channel* channel, const void* data, uint32_t len);

/* Write what pnpdr_channel_write has kept for the end of the callback. */
void pnpdr_channel_flush(pnpdr_channel* channel);

/* Can pnpdr_channel_sent count? The same for the whole of a session. */
int pnpdr_host_counts(const pnpdr_host* host);

/* Bytes that this channel's session has sent, on all channels. Only while the
 * channel is open, and only if the host counts. */
uint64_t pnpdr_channel_sent(pnpdr_channel* channel);

/* A setting, or NULL. This and the next two: only during pnpdrEntry, while nothing
 * changes the settings. Strings are lent for as long. */
const char* pnpdr_host_string(const pnpdr_host* host, pnpdr_setting setting);

/* The number of devices that FreeRDP redirects. */
size_t pnpdr_host_devices(const pnpdr_host* host);

/* Describe one of them. Returns 0 if it is neither a drive nor a printer. */
int pnpdr_host_device(const pnpdr_host* host, size_t index, pnpdr_device* device);

/* The longest name of a user that FreeRDP makes paths with, with its end. */
#define PNPDR_ACCOUNT 260

/* Write the name of this process's user as FreeRDP knows it. Returns 0 if it does not. */
int pnpdr_host_account(const pnpdr_host* host, char name[PNPDR_ACCOUNT]);

int pnpdr_log_active(const pnpdr_host* host, uint32_t level);

/* Write a line to the host's log, to stderr if it has none. */
void pnpdr_log(const pnpdr_host* host, uint32_t level, const char* text);

/* C objects of the shim that live in this process. */
int pnpdr_live_objects(void);

#endif /* PNPDR_CSHIM_CLIENT_SHIM_H */
