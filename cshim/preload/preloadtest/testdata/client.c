/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a library as FreeRDP loads the plugin. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv)
{
	const char* folder = getenv("CLIENT_FOLDER");

	if ((argc != 2) || (folder && (chdir(folder) != 0)))
		return 2;

	if (!dlopen(argv[1], RTLD_LOCAL | RTLD_LAZY))
		puts(dlerror());

	return 0;
}
