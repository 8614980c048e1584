/**
 * A plugin that echoes: what the client side of the tests consists of.
 *
 * It listens for PNPDR and FileRedirectorChannel and returns every message as
 * it is, but for "close", on which it closes the channel. One build serves
 * FreeRDP 2.11 and 3.x: of every structure that we allocate 3.x only appends
 * members, and none of those is used.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

struct plugin
{
	uint32_t (*Initialize)(plugin*, manager*);
	uint32_t (*Connected)(plugin*);
	uint32_t (*Disconnected)(plugin*, uint32_t);
	uint32_t (*Terminated)(plugin*);
	uint32_t (*Attached)(plugin*);
	uint32_t (*Detached)(plugin*);
	void* interface;
	listener* listeners[2];
};

struct entry
{
	uint32_t (*RegisterPlugin)(entry*, const char* name, plugin*);
	plugin* (*GetPlugin)(entry*, const char* name);
};

struct listener
{
	uint32_t (*OnNewChannelConnection)(listener*, channel*, uint8_t*, int32_t* accept, callback**);
	void* interface; /* 3.x */
};

struct callback
{
	uint32_t (*OnDataReceived)(callback*, stream*);
	uint32_t (*OnOpen)(callback*);
	uint32_t (*OnClose)(callback*);
	void* interface; /* 3.x */
	channel* channel;
};

static uint32_t echo_received(callback* self, stream* data)
{
	const size_t length = data->length - (size_t)(data->pointer - data->buffer);

	/* An error is the one way to close a channel that all versions have. */
	if ((length == 5) && (memcmp(data->pointer, "close", 5) == 0))
		return ERROR_INTERNAL;

	return self->channel->Write(self->channel, (uint32_t)length, data->pointer, NULL);
}

static uint32_t echo_closed(callback* self)
{
	free(self);
	return 0;
}

static uint32_t echo_connection(listener* self, channel* channel, uint8_t* data, int32_t* accept,
                                callback** result)
{
	callback* created = calloc(1, sizeof(callback));

	(void)self;
	(void)data;

	if (!created)
		return ERROR_OUTOFMEMORY;

	created->OnDataReceived = echo_received;
	created->OnClose = echo_closed;
	created->channel = channel;
	*accept = 1;
	*result = created;
	return 0;
}

static uint32_t echo_initialize(plugin* self, manager* manager)
{
	static const char* const names[2] = { "PNPDR", "FileRedirectorChannel" };

	for (size_t i = 0; i < 2; i++)
	{
		uint32_t error;
		void* handle = NULL;

		self->listeners[i] = calloc(1, sizeof(listener));

		if (!self->listeners[i])
			return ERROR_OUTOFMEMORY;

		self->listeners[i]->OnNewChannelConnection = echo_connection;
		error = manager->CreateListener(manager, names[i], 0, self->listeners[i], &handle);

		if (error)
			return error;
	}

	return 0;
}

static uint32_t echo_terminated(plugin* self)
{
	free(self->listeners[0]);
	free(self->listeners[1]);
	free(self);
	return 0;
}

__attribute__((visibility("default"))) uint32_t DVCPluginEntry(entry* entry)
{
	plugin* created;

	if (entry->GetPlugin(entry, "pnpdr"))
		return 0;

	created = calloc(1, sizeof(plugin));

	if (!created)
		return ERROR_OUTOFMEMORY;

	created->Initialize = echo_initialize;
	created->Terminated = echo_terminated;
	return entry->RegisterPlugin(entry, "pnpdr", created);
}
