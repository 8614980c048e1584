/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The frame of a plugin in C: it listens for PNPDR and FileRedirectorChannel and
 * passes messages on. The file that includes this defines received: what each of
 * the two does with a message. It may define closed: what to do at the end of a channel.
 *
 * One build serves FreeRDP 2.11 and 3.x: 3.x only appends members to the
 * structures that we allocate, and we use none of those.
 */

#ifndef PNPDR_TEST_PLUGIN_H
#define PNPDR_TEST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERROR_OUTOFMEMORY 14
#define ERROR_INTERNAL 1359

typedef struct channel channel;
typedef struct manager manager;
typedef struct plugin plugin;
typedef struct entry entry;
typedef struct listener listener;
typedef struct callback callback;

typedef struct
{
	int argc;
	char** argv; /* the plugin's name and its options */
} arguments;

typedef struct
{
	uint8_t* buffer;
	uint8_t* pointer;
	size_t length;
} stream;

struct channel
{
	uint32_t (*Write)(channel*, uint32_t size, const uint8_t* data, void*);
	uint32_t (*Close)(channel*);
};

struct manager
{
	uint32_t (*CreateListener)(manager*, const char* name, uint32_t flags, listener*, void**);
};

struct listener
{
	uint32_t (*OnNewChannelConnection)(listener*, channel*, uint8_t*, int32_t* accept, callback**);
	void* interface; /* 3.x */
	uint32_t (*OnDataReceived)(callback*, stream*);
};

struct plugin
{
	uint32_t (*Initialize)(plugin*, manager*);
	uint32_t (*Connected)(plugin*);
	uint32_t (*Disconnected)(plugin*, uint32_t);
	uint32_t (*Terminated)(plugin*);
	uint32_t (*Attached)(plugin*);
	uint32_t (*Detached)(plugin*);
	void* interface;
	listener listeners[2];
};

struct entry
{
	uint32_t (*RegisterPlugin)(entry*, const char* name, plugin*);
	plugin* (*GetPlugin)(entry*, const char* name);
	const arguments* (*GetPluginData)(entry*);
};

struct callback
{
	uint32_t (*OnDataReceived)(callback*, stream*);
	uint32_t (*OnOpen)(callback*);
	uint32_t (*OnClose)(callback*);
	void* interface; /* 3.x */
	channel* channel;
	uint8_t* reply; /* kept from one request to the next */
	size_t capacity;
	int file; /* closed with the channel; -1 for none */
};

/* The first option, empty if there is none. */
static char option[4096];

/* In the order of names below. An error closes the channel in all versions. */
static uint32_t (*const received[2])(callback*, stream*);
static void (*const closed)(callback*);

static uint32_t channel_closed(callback* self)
{
	if (closed)
		closed(self);

	if (self->file >= 0)
		close(self->file);

	free(self->reply);
	free(self);
	return 0;
}

static uint32_t new_connection(listener* self, channel* channel, uint8_t* data, int32_t* accept,
                               callback** result)
{
	callback* created = calloc(1, sizeof(callback));

	(void)data;

	if (!created)
		return ERROR_OUTOFMEMORY;

	created->OnDataReceived = self->OnDataReceived;
	created->OnClose = channel_closed;
	created->channel = channel;
	created->file = -1;
	*accept = 1;
	*result = created;
	return 0;
}

static uint32_t initialize(plugin* self, manager* manager)
{
	static const char* const names[2] = { "PNPDR", "FileRedirectorChannel" };

	for (size_t i = 0; i < 2; i++)
	{
		void* handle = NULL;
		uint32_t error =
		    manager->CreateListener(manager, names[i], 0, &self->listeners[i], &handle);

		if (error)
			return error;
	}

	return 0;
}

static uint32_t terminated(plugin* self)
{
	free(self);
	return 0;
}

__attribute__((visibility("default"))) uint32_t DVCPluginEntry(entry* entry)
{
	plugin* created;
	const arguments* arguments = entry->GetPluginData(entry);

	if (entry->GetPlugin(entry, "pnpdr"))
		return 0;

	created = calloc(1, sizeof(plugin));

	if (!created)
		return ERROR_OUTOFMEMORY;

	if (arguments && (arguments->argc > 1))
		snprintf(option, sizeof(option), "%s", arguments->argv[1]);

	created->Initialize = initialize;
	created->Terminated = terminated;

	for (size_t i = 0; i < 2; i++)
	{
		created->listeners[i].OnNewChannelConnection = new_connection;
		created->listeners[i].OnDataReceived = received[i];
	}

	return entry->RegisterPlugin(entry, "pnpdr", created);
}

#endif
