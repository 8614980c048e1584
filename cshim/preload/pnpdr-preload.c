/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Loads the plugin into a FreeRDP client without installing it.
 *
 * FreeRDP looks for libpnpdr-client.so only at one path, which is compiled into
 * it and belongs to root. With this library in LD_PRELOAD, every dlopen of a
 * file of that name opens $PNPDR_PLUGIN instead:
 *
 *   cc -shared -fPIC -O2 -o pnpdr-preload.so pnpdr-preload.c -ldl
 *   LD_PRELOAD=$PWD/pnpdr-preload.so PNPDR_PLUGIN=$PWD/libpnpdr-client.so \
 *       xfreerdp /v:server /dvc:pnpdr,...
 *
 * PNPDR_PLUGIN must be an absolute path. The client itself is not changed.
 *
 * LD_PRELOAD stays as it is, so the client may be started by a script, by
 * timeout or by env: in processes that do not load the plugin this library does
 * nothing. With AddressSanitizer name libasan first, it insists on that:
 * LD_PRELOAD="libasan.so.8 /path/pnpdr-preload.so".
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define PLUGIN "/libpnpdr-client.so"

__attribute__((visibility("default"))) void* dlopen(const char* file, int flags)
{
	void* (*next)(const char*, int) = NULL;
	const char* plugin = getenv("PNPDR_PLUGIN");
	const char* name = file ? strrchr(file, '/') : NULL;

	/* ISO C has no conversion from the void* of dlsym to a function. */
	*(void**)&next = dlsym(RTLD_NEXT, "dlopen");

	if (plugin && *plugin && name && (strcmp(name, PLUGIN) == 0))
		file = plugin;

	return next(file, flags);
}
