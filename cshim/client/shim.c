/* SPDX-License-Identifier: Apache-2.0 */
/**
 * freerdp-pnpdr: Plug and Play device redirection for FreeRDP
 *
 * The client shim: DVCPluginEntry, two listeners, one object per channel.
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

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "_cgo_export.h"
#include "headers.h"
#include "host.h"
#include "process.h"
#include "shim.h"

#define PLUGIN_NAME "pnpdr"

/* FreeRDP 3.x appends one pointer to the two callback structures of 2.x and
 * reads it: room for it follows each, whichever headers this was built with. */
typedef struct
{
	IWTSListenerCallback iface;
	void* pInterface3;
	struct pnpdr_plugin* plugin;
	const char* name;
} pnpdr_listener;

typedef struct pnpdr_plugin
{
	IWTSPlugin iface;
	pnpdr_listener listeners[2];
	pnpdr_host host;
	void* session; /* Go's */
	/* FreeRDP's own reference until Terminated, and one per channel: 2.11 can
	 * terminate plugins before it closes their channels. */
	atomic_int references;
} pnpdr_plugin;

struct pnpdr_channel
{
	IWTSVirtualChannelCallback iface;
	void* pInterface3;
	IWTSVirtualChannel* channel;
	pnpdr_plugin* plugin;
	void* receiver; /* Go's */
};

static atomic_int live_objects;

int pnpdr_live_objects(void)
{
	return atomic_load(&live_objects);
}

static void* object_new(size_t size)
{
	void* object = calloc(1, size);

	if (object)
		atomic_fetch_add(&live_objects, 1);
	return object;
}

static void object_free(void* object)
{
	free(object);
	atomic_fetch_sub(&live_objects, 1);
}

static void plugin_release(pnpdr_plugin* plugin)
{
	process_mask mask;
	void* session;

	if (atomic_fetch_sub(&plugin->references, 1) != 1)
		return;
	session = plugin->session;
	object_free(plugin);
	mask = process_mask_keep();
	pnpdrEnded(session);
	process_mask_restore(&mask);
}

uint32_t pnpdr_channel_write(pnpdr_channel* channel, const void* data, uint32_t len)
{
	if (len == 0)
		return ERROR_INVALID_DATA;
	return channel->channel->Write(channel->channel, len, data, NULL);
}

/* The counter lies in the rdpRdp, which outlives the channels. The one of
 * freerdp_get_transport_sent does not: at the end of a connection FreeRDP frees
 * the transport before it closes the channels. */
static void* rdp_of(const pnpdr_host* host)
{
	const char* context = host->instance ? *host->instance : NULL;

	return context ? *(void* const*)(context + offsetof(struct rdp_context, rdp)) : NULL;
}

int pnpdr_host_counts(const pnpdr_host* host)
{
	return host->getStats && rdp_of(host);
}

uint64_t pnpdr_channel_sent(pnpdr_channel* channel)
{
	const pnpdr_host* host = &channel->plugin->host;
	uint64_t sent = 0;

	(void)host->getStats(rdp_of(host), NULL, &sent, NULL, NULL);
	return sent;
}

/* A failing return closes the channel in every version, which Close does not:
 * in 2.11 that does nothing. */
static UINT channel_on_data_received(IWTSVirtualChannelCallback* callback, wStream* data)
{
	pnpdr_channel* channel = (pnpdr_channel*)callback;
	/* By its members: the inline functions of 3.x refer to libwinpr. */
	size_t position = (size_t)(data->pointer - data->buffer);
	process_mask mask = process_mask_keep();
	UINT status = pnpdrReceive(channel->receiver, data->pointer, data->length - position);

	process_mask_restore(&mask);
	return status;
}

static UINT channel_on_open(IWTSVirtualChannelCallback* callback)
{
	(void)callback;
	return CHANNEL_RC_OK;
}

static UINT channel_on_close(IWTSVirtualChannelCallback* callback)
{
	pnpdr_channel* channel = (pnpdr_channel*)callback;
	pnpdr_plugin* plugin = channel->plugin;
	process_mask mask = process_mask_keep();

	pnpdrClosed(channel->receiver);
	process_mask_restore(&mask);
	object_free(channel);
	plugin_release(plugin);
	return CHANNEL_RC_OK;
}

static UINT listener_on_new_channel(IWTSListenerCallback* callback, IWTSVirtualChannel* iws,
                                    BYTE* data, BOOL* accept, IWTSVirtualChannelCallback** out)
{
	pnpdr_listener* listener = (pnpdr_listener*)callback;
	pnpdr_channel* channel = object_new(sizeof(pnpdr_channel));
	process_mask mask;

	(void)data;
	/* Refused by *accept, not by a failing return: that makes 3.10 go on with a
	 * channel that it has freed. */
	*accept = FALSE;
	if (!channel)
		return CHANNEL_RC_OK;

	channel->iface.OnDataReceived = channel_on_data_received;
	channel->iface.OnOpen = channel_on_open;
	channel->iface.OnClose = channel_on_close;
	channel->channel = iws;
	channel->plugin = listener->plugin;
	mask = process_mask_keep();
	channel->receiver = pnpdrAccept(listener->plugin->session, (char*)listener->name, channel);
	process_mask_restore(&mask);
	if (!channel->receiver)
	{
		object_free(channel);
		return CHANNEL_RC_OK;
	}
	atomic_fetch_add(&listener->plugin->references, 1);
	*accept = TRUE;
	*out = &channel->iface;
	return CHANNEL_RC_OK;
}

static UINT plugin_initialize(IWTSPlugin* iface, IWTSVirtualChannelManager* manager)
{
	pnpdr_plugin* plugin = (pnpdr_plugin*)iface;
	size_t i;

	for (i = 0; i < ARRAYSIZE(plugin->listeners); i++)
	{
		pnpdr_listener* listener = &plugin->listeners[i];
		UINT status = manager->CreateListener(manager, listener->name, 0, &listener->iface, NULL);

		if (status != CHANNEL_RC_OK)
			return status;
	}
	return CHANNEL_RC_OK;
}

static UINT plugin_terminated(IWTSPlugin* iface)
{
	plugin_release((pnpdr_plugin*)iface);
	return CHANNEL_RC_OK;
}

static pnpdr_plugin* plugin_new(IDRDYNVC_ENTRY_POINTS* entry)
{
	static const char* const names[] = { "PNPDR", "FileRedirectorChannel" };
	pnpdr_plugin* plugin = object_new(sizeof(pnpdr_plugin));
	size_t i;

	if (!plugin)
		return NULL;
	plugin->iface.Initialize = plugin_initialize;
	plugin->iface.Terminated = plugin_terminated;
	atomic_init(&plugin->references, 1);
	for (i = 0; i < ARRAYSIZE(plugin->listeners); i++)
	{
		plugin->listeners[i].iface.OnNewChannelConnection = listener_on_new_channel;
		plugin->listeners[i].plugin = plugin;
		plugin->listeners[i].name = names[i];
	}
	host_find(&plugin->host, *(void**)&entry->RegisterPlugin, (void*)entry->GetRdpSettings(entry));
	return plugin;
}

/* The function that FreeRDP looks up. A failure here ends the whole connection,
 * so only FreeRDP's own failures are failures; without memory, or without a
 * session, the plugin is not there and the user's session goes on. */
FREERDP_API UINT DVCPluginEntry(IDRDYNVC_ENTRY_POINTS* pEntryPoints);

__attribute__((visibility("default"))) UINT DVCPluginEntry(IDRDYNVC_ENTRY_POINTS* pEntryPoints)
{
	pnpdr_plugin* plugin;
	const ADDIN_ARGV* args;
	process_mask mask;
	UINT status;

	if (pEntryPoints->GetPlugin(pEntryPoints, PLUGIN_NAME))
		return CHANNEL_RC_OK;
	plugin = plugin_new(pEntryPoints);
	if (!plugin)
		return CHANNEL_RC_OK;
	args = pEntryPoints->GetPluginData(pEntryPoints);
	mask = process_mask_keep();
	plugin->session = pnpdrEntry(args ? args->argc : 0, args ? args->argv : NULL, &plugin->host);
	process_mask_restore(&mask);
	if (!plugin->session)
	{
		object_free(plugin);
		return CHANNEL_RC_OK;
	}
	status = pEntryPoints->RegisterPlugin(pEntryPoints, PLUGIN_NAME, &plugin->iface);
	if (status != CHANNEL_RC_OK)
		plugin_release(plugin);
	return status;
}
