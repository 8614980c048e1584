/* SPDX-License-Identifier: Apache-2.0 */
/**
 * freerdp-pnpdr: Plug and Play device redirection for FreeRDP
 *
 * What is found of the FreeRDP that loaded the plugin, at run time.
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

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "headers.h"
#include "host.h"

#define LOG_NAME "com.freerdp.channels.pnpdr.client"

_Static_assert(PNPDR_LOG_DEBUG == (int)WLOG_DEBUG, "WLog level");
_Static_assert(PNPDR_LOG_INFO == (int)WLOG_INFO, "WLog level");
_Static_assert(PNPDR_LOG_WARN == (int)WLOG_WARN, "WLog level");
_Static_assert(PNPDR_LOG_ERROR == (int)WLOG_ERROR, "WLog level");

void host_find(pnpdr_host* host, const void* address, void* settings)
{
	Dl_info info;
	void* lib;
	WLog_Get_fn getLog;
	freerdp_get_version_fn getVersion;

	/* A host may have loaded libfreerdp-client RTLD_LOCAL, so that RTLD_DEFAULT
	 * does not see it. The library in which an entry point lies leads to it and
	 * to what it depends on; NOLOAD because it is there already. */
	if (!dladdr(address, &info) || !info.dli_fname)
		return;
	lib = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	if (!lib)
		lib = dlopen(NULL, RTLD_NOW); /* the main program's path may be relative */
	if (!lib)
		return;

	getVersion = (freerdp_get_version_fn)dlsym(lib, "freerdp_get_version");
	if (getVersion)
		getVersion(&host->major, &host->minor, &host->revision);

	getLog = (WLog_Get_fn)dlsym(lib, "WLog_Get");
	host->isLevelActive = (WLog_IsLevelActive_fn)dlsym(lib, "WLog_IsLevelActive");
	host->printMessage = (WLog_PrintMessage_fn)dlsym(lib, "WLog_PrintMessage");
	if (getLog && host->isLevelActive && host->printMessage)
		host->log = getLog(LOG_NAME);

	host->settings = settings;
	host->getPointer = (freerdp_settings_get_pointer_fn)dlsym(lib, "freerdp_settings_get_pointer");
	host->getString = (freerdp_settings_get_string_fn)dlsym(lib, "freerdp_settings_get_string");
	host->getUint32 = (freerdp_settings_get_uint32_fn)dlsym(lib, "freerdp_settings_get_uint32");
	host->getUserName = (GetUserNameExA_fn)dlsym(lib, "GetUserNameExA");
	host->getStats = (freerdp_get_stats_fn)dlsym(lib, "freerdp_get_stats");
	if (host->getPointer && settings)
		host->instance = (void**)host->getPointer(settings, FreeRDP_instance);

	/* The library stays: the process holds its own reference while it uses
	 * FreeRDP, and channels end before that. */
	dlclose(lib);
}

const char* pnpdr_host_string(const pnpdr_host* host, pnpdr_setting setting)
{
	static const size_t keys[] = { FreeRDP_Username, FreeRDP_Domain, FreeRDP_ClientHostname,
		                           FreeRDP_ServerHostname };

	if (!host->settings || !host->getString)
		return NULL;
	return host->getString(host->settings, keys[setting]);
}

size_t pnpdr_host_devices(const pnpdr_host* host)
{
	if (!host->settings || !host->getPointer || !host->getUint32 ||
	    !host->getPointer(host->settings, FreeRDP_DeviceArray))
		return 0;
	return host->getUint32(host->settings, FreeRDP_DeviceCount);
}

int pnpdr_host_device(const pnpdr_host* host, size_t index, pnpdr_device* device)
{
	RDPDR_DEVICE* const* all =
	    (RDPDR_DEVICE* const*)host->getPointer(host->settings, FreeRDP_DeviceArray);
	const RDPDR_DEVICE* found = all[index];

	if (!found || !found->Name)
		return 0;
	device->name = found->Name;
	switch (found->Type)
	{
		case RDPDR_DTYP_FILESYSTEM:
			device->printer = 0;
			device->detail = ((const RDPDR_DRIVE*)found)->Path;
			return 1;
		case RDPDR_DTYP_PRINT:
			device->printer = 1;
			device->detail = ((const RDPDR_PRINTER*)found)->DriverName;
			return 1;
		default:
			return 0;
	}
}

int pnpdr_host_account(const pnpdr_host* host, char name[PNPDR_ACCOUNT])
{
	uint32_t size = PNPDR_ACCOUNT - 1; /* it does not always end the name */

	(void)memset(name, 0, PNPDR_ACCOUNT);
	return host->getUserName && host->getUserName(NameSamCompatible, name, &size);
}

int pnpdr_log_active(const pnpdr_host* host, uint32_t level)
{
	if (!host->log)
		return -1;
	return host->isLevelActive(host->log, level) ? 1 : 0;
}

/* By C's stderr: where nobody reads it, Go's os.Stderr would end the process. */
void pnpdr_log(const pnpdr_host* host, uint32_t level, const char* text)
{
	if (host->log)
		(void)host->printMessage(host->log, WLOG_MESSAGE_TEXT, level, (size_t)__LINE__, __FILE__,
		                         __func__, "%s", text);
	else
		(void)fprintf(stderr, "pnpdr: %s\n", text);
}
