/* SPDX-License-Identifier: Apache-2.0 */
/* FreeRDP's headers, as system headers: those of 3.15 do not compile without
 * warnings. */

#ifndef PNPDR_CSHIM_SERVER_HEADERS_H
#define PNPDR_CSHIM_SERVER_HEADERS_H

#pragma GCC system_header

#include <winpr/ssl.h>
#include <winpr/synch.h>
#include <winpr/wlog.h>
#include <winpr/wtsapi.h>

#include <freerdp/freerdp.h>
#include <freerdp/version.h>
#include <freerdp/peer.h>
#include <freerdp/settings.h>
#include <freerdp/channels/channels.h>
#include <freerdp/channels/wtsvc.h>
#if FREERDP_VERSION_MAJOR >= 3
#include <freerdp/channels/drdynvc.h>
#include <freerdp/crypto/certificate.h>
#include <freerdp/crypto/privatekey.h>
#endif

#endif
