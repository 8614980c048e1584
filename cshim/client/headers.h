/* SPDX-License-Identifier: Apache-2.0 */
/* FreeRDP's headers, as system headers: those of 3.15 do not compile without
 * warnings. */

#ifndef PNPDR_CSHIM_CLIENT_HEADERS_H
#define PNPDR_CSHIM_CLIENT_HEADERS_H

#pragma GCC system_header

#include <freerdp/dvc.h>
#include <freerdp/channels/wtsvc.h>
#include <freerdp/freerdp.h>
#include <freerdp/settings.h>
#include <winpr/error.h>
#include <winpr/sspicli.h>
#include <winpr/stream.h>
#include <winpr/wlog.h>

#endif
