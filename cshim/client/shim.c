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

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A message that is to leave when the callback that it was made in is over. */
typedef struct
{
	uint32_t len;       /* 0: none */
	uint8_t data[1600]; /* one chunk of FreeRDP's; what is longer takes its time anyway */
} pnpdr_kept;

struct pnpdr_channel
{
	IWTSVirtualChannelCallback iface;
	void* pInterface3;
	pnpdr_plugin* plugin;
	void* receiver; /* Go's */
	/* FreeRDP's until OnClose, and that of a callback that is running. */
	atomic_int references;

	pthread_mutex_t mutex;       /* guards what follows, and keeps messages in order */
	IWTSVirtualChannel* channel; /* NULL after OnClose */
	pnpdr_kept* kept;            /* on the stack of the callback that is running */
	UINT failed;                 /* why a kept message could not be written */
};

/* The channel whose callback this thread is in. */
static _Thread_local const pnpdr_channel* receiving;

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

static void channel_release(pnpdr_channel* channel)
{
	if (atomic_fetch_sub(&channel->references, 1) != 1)
		return;
	pthread_mutex_destroy(&channel->mutex);
	object_free(channel);
}

/* Writes what is kept. The mutex is locked. */
static UINT channel_write_kept(pnpdr_channel* channel)
{
	UINT status = CHANNEL_RC_OK;
	pnpdr_kept* kept = channel->kept;

	if (kept && kept->len > 0 && channel->channel)
		status = channel->channel->Write(channel->channel, kept->len, kept->data, NULL);
	if (kept)
		kept->len = 0;
	if (status != CHANNEL_RC_OK)
		channel->failed = status;
	return status;
}

/* The last small message of a callback is written when Go has returned. Write wakes
 * FreeRDP's main thread, which sends to the server; as long as this thread is still
 * busy then, Linux moves the two and the server about between processors. 1.5 us of
 * work behind Write cost a tenth of the requests per second, in a plugin in C too
 * (docs/benchmarks.md). */
uint32_t pnpdr_channel_write(pnpdr_channel* channel, const void* data, uint32_t len)
{
	UINT status;

	if (len == 0)
		return ERROR_INVALID_DATA;
	pthread_mutex_lock(&channel->mutex);
	status = channel_write_kept(channel);
	if (status == CHANNEL_RC_OK)
	{
		if (receiving == channel && channel->kept && len <= sizeof(channel->kept->data))
		{
			memcpy(channel->kept->data, data, len);
			channel->kept->len = len;
		}
		else
			status = channel->channel->Write(channel->channel, len, data, NULL);
	}
	pthread_mutex_unlock(&channel->mutex);
	return status;
}

void pnpdr_channel_flush(pnpdr_channel* channel)
{
	pthread_mutex_lock(&channel->mutex);
	(void)channel_write_kept(channel);
	pthread_mutex_unlock(&channel->mutex);
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

static void channel_failed(const pnpdr_channel* channel, UINT status)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "channel closed: FreeRDP could not write to it: error %u",
	               status);
	pnpdr_log(&channel->plugin->host, PNPDR_LOG_WARN, text);
}

/* A failing return closes the channel in every version, which Close does not:
 * in 2.11 that does nothing. */
static UINT channel_on_data_received(IWTSVirtualChannelCallback* callback, wStream* data)
{
	pnpdr_channel* channel = (pnpdr_channel*)callback;
	/* By its members: the inline functions of 3.x refer to libwinpr. */
	size_t position = (size_t)(data->pointer - data->buffer);
	process_mask mask = process_mask_keep();
	const pnpdr_channel* outer = receiving;
	pnpdr_kept kept;
	UINT status;
	UINT failed;

	atomic_fetch_add(&channel->references, 1);
	kept.len = 0;
	pthread_mutex_lock(&channel->mutex);
	channel->kept = &kept;
	pthread_mutex_unlock(&channel->mutex);
	receiving = channel;
	status = pnpdrReceive(channel->receiver, data->pointer, data->length - position);
	receiving = outer;
	process_mask_restore(&mask);

	pthread_mutex_lock(&channel->mutex);
	(void)channel_write_kept(channel);
	channel->kept = NULL;
	failed = channel->failed;
	pthread_mutex_unlock(&channel->mutex);
	if (failed != CHANNEL_RC_OK && status == CHANNEL_RC_OK)
	{
		channel_failed(channel, failed);
		status = failed;
	}
	channel_release(channel);
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
	pthread_mutex_lock(&channel->mutex);
	channel->channel = NULL;
	pthread_mutex_unlock(&channel->mutex);
	channel_release(channel);
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
	atomic_init(&channel->references, 1);
	pthread_mutex_init(&channel->mutex, NULL);
	mask = process_mask_keep();
	channel->receiver = pnpdrAccept(listener->plugin->session, (char*)listener->name, channel);
	process_mask_restore(&mask);
	if (!channel->receiver)
	{
		channel_release(channel);
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
