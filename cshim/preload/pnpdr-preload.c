/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Loads the plugin into a FreeRDP client without installing it.
 *
 * FreeRDP looks for libpnpdr-client.so only at one path, which is compiled into
 * it and belongs to root. With this library in LD_PRELOAD, every dlopen of a
 * file of that name opens another one instead:
 *
 *   LD_PRELOAD=$PWD/libpnpdr-preload.so xfreerdp /v:server /dvc:pnpdr,...
 *
 * That is $PNPDR_PLUGIN if it is set, an absolute path. Otherwise it is the one
 * beside this library, or in the folder freerdp3 or freerdp2 beside this library's
 * folder, where an installation with a prefix puts it. If there is none, FreeRDP
 * gets what it asks for. If that cannot be loaded, standard error says why.
 *
 * The client itself is not changed. LD_PRELOAD stays as it is, so the client may be
 * started by a script, by timeout or by env: in processes that do not load the
 * plugin this library does nothing.
 *
 * LD_PRELOAD cannot name a file with a blank or a colon in its path: use a symbolic
 * link. With AddressSanitizer name libasan first, it insists on that:
 * LD_PRELOAD="libasan.so.8 /path/libpnpdr-preload.so".
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN "/libpnpdr-client.so"

/* The folder of this library. Its name may be relative to the folder in which the
 * process began, and a symbolic link to it need not have the plugin beside it. */
static char folder[PATH_MAX];

__attribute__((constructor)) static void find_folder(void)
{
	Dl_info info;
	char* slash;

	if (!dladdr(folder, &info) || !realpath(info.dli_fname, folder))
		return;

	slash = strrchr(folder, '/');
	*slash = '\0';
}

/* The file to load instead; path has room for its name. NULL if there is none. */
static const char* replacement(char* path, size_t size)
{
	static const char* const places[] = { "", "/../freerdp3", "/../freerdp2" };
	const char* plugin = getenv("PNPDR_PLUGIN");

	if (plugin && *plugin)
		return plugin;

	for (size_t i = 0; *folder && (i < sizeof(places) / sizeof(*places)); i++)
	{
		const int length = snprintf(path, size, "%s%s" PLUGIN, folder, places[i]);

		if ((length > 0) && ((size_t)length < size) && (access(path, R_OK) == 0))
			return path;
	}

	return NULL;
}

__attribute__((visibility("default"))) void* dlopen(const char* file, int flags)
{
	char path[PATH_MAX + sizeof("/../freerdp3" PLUGIN)];
	void* (*next)(const char*, int) = NULL;
	const char* name = file ? strrchr(file, '/') : NULL;
	const char* plugin = NULL;
	void* library = NULL;

	/* ISO C has no conversion from the void* of dlsym to a function. */
	*(void**)&next = dlsym(RTLD_NEXT, "dlopen");

	if (!name || (strcmp(name, PLUGIN) != 0))
		return next(file, flags);

	plugin = replacement(path, sizeof(path));

	if (plugin)
		file = plugin;

	library = next(file, flags);

	if (library)
		return library;

	/* FreeRDP 2 ends the session without a word. */
	fprintf(stderr, "libpnpdr-preload.so: %s\n", dlerror());

	if (!plugin)
		fprintf(stderr, "libpnpdr-preload.so: and there is no plugin in %s\n", folder);

	return next(file, flags); /* fails again, so that dlerror says why */
}
