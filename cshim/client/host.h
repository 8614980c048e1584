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

#ifndef PNPDR_CSHIM_CLIENT_HOST_H
#define PNPDR_CSHIM_CLIENT_HOST_H

#include "shim.h"

/* Fill host from the library that address lies in, and the rdpSettings of the
 * session. */
void host_find(pnpdr_host* host, const void* address, void* settings);

#endif /* PNPDR_CSHIM_CLIENT_HOST_H */
