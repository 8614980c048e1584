/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

__attribute__((constructor)) static void loaded(void)
{
	puts(NAME);
}
