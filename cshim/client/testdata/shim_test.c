/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the C shim without Go and without FreeRDP's libraries: this file
 * plays both. It is compiled with AddressSanitizer against the headers of each
 * major version; structures are exactly as large as those headers say, so that
 * anything the shim touches beyond them is found. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <freerdp/dvc.h>
#include <freerdp/channels/wtsvc.h>
#include <winpr/stream.h>

#include "_cgo_export.h"

UINT DVCPluginEntry(IDRDYNVC_ENTRY_POINTS* pEntryPoints);

#define CHECK(what)                                                              \
	do                                                                           \
	{                                                                            \
		if (!(what))                                                             \
		{                                                                        \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
			exit(1);                                                             \
		}                                                                        \
	} while (0)

/* What the shim did. */
static struct
{
	int entries, ended, accepts, closes, receives, writes;
	int refuse_session, refuse_channel;
	uint32_t receive_status;
	pnpdr_channel* channel;
	const uint8_t* data;
	size_t size;
	char written[16]; /* the first byte of each message */
	UINT write_status;
	void (*in_receive)(void);
} seen;

static IWTSPlugin* registered;
static IWTSListenerCallback* listeners[2];
static int listener_count;
static int session, receiver;

/* Go's side. */

void* pnpdrEntry(int argc, char** argv, pnpdr_host* host)
{
	CHECK(argc == 2 && strcmp(argv[1], "loopback") == 0);
	CHECK(host->log == NULL); /* this program has no WLog */
	CHECK(!pnpdr_host_counts(host));
	seen.entries++;
	return seen.refuse_session ? NULL : &session;
}

void pnpdrEnded(void* self)
{
	CHECK(self == &session);
	CHECK(pnpdr_live_objects() == 0);
	seen.ended++;
}

void* pnpdrAccept(void* self, char* name, pnpdr_channel* channel)
{
	CHECK(self == &session);
	CHECK(strcmp(name, "PNPDR") == 0 || strcmp(name, "FileRedirectorChannel") == 0);
	seen.accepts++;
	seen.channel = channel;
	return seen.refuse_channel ? NULL : &receiver;
}

uint32_t pnpdrReceive(void* self, uint8_t* data, size_t size)
{
	CHECK(self == &receiver);
	seen.receives++;
	seen.data = data;
	seen.size = size;
	if (seen.in_receive)
		seen.in_receive();
	return seen.receive_status;
}

void pnpdrClosed(void* self)
{
	CHECK(self == &receiver);
	seen.closes++;
}

/* FreeRDP's side. */

static UINT register_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name, IWTSPlugin* plugin)
{
	(void)entry;
	CHECK(strcmp(name, "pnpdr") == 0);
	registered = plugin;
	return CHANNEL_RC_OK;
}

static UINT register_plugin_fails(IDRDYNVC_ENTRY_POINTS* entry, const char* name,
                                  IWTSPlugin* plugin)
{
	(void)entry;
	(void)name;
	(void)plugin;
	return ERROR_INTERNAL_ERROR;
}

static IWTSPlugin* get_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name)
{
	(void)entry;
	(void)name;
	return registered;
}

static char* words[] = { "pnpdr", "loopback" };
static ADDIN_ARGV arguments = { 2, words };

static UINT create_listener(IWTSVirtualChannelManager* manager, const char* name, ULONG flags,
                            IWTSListenerCallback* callback, IWTSListener** listener)
{
	(void)manager;
	(void)name;
	(void)flags;
	(void)listener;
	listeners[listener_count++] = callback;
	return CHANNEL_RC_OK;
}

static UINT channel_write(IWTSVirtualChannel* channel, ULONG size, const BYTE* data, void* reserved)
{
	(void)channel;
	(void)reserved;
	CHECK(size > 0); /* FreeRDP would close the channel */
	CHECK(data);
	seen.written[seen.writes++] = (char)data[0];
	return seen.write_status;
}

static UINT channel_close(IWTSVirtualChannel* channel)
{
	(void)channel;
	CHECK(!"Close is called, which does nothing in 2.11 and can close twice in 3.x");
	return CHANNEL_RC_OK;
}

/* As FreeRDP 2 lays it out: without what 3.x appends. */
typedef struct
{
	void* members[4];
} entry_points_2;

static void* plugin_data(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return &arguments;
}

static void* settings(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return NULL;
}

static UINT load(void* register_function)
{
	/* On the heap and no larger than FreeRDP 2 makes it: a touch of
	 * GetRdpContext is found. */
	entry_points_2* entry = malloc(sizeof(*entry));
	UINT status;

	CHECK(entry);
	entry->members[0] = register_function;
	entry->members[1] = (void*)get_plugin;
	entry->members[2] = (void*)plugin_data;
	entry->members[3] = (void*)settings;
	registered = NULL;
	status = DVCPluginEntry((IDRDYNVC_ENTRY_POINTS*)entry);
	free(entry);
	return status;
}

static void start(void)
{
	IWTSVirtualChannelManager manager = { 0 };

	memset(&seen, 0, sizeof(seen));
	listener_count = 0;
	CHECK(load((void*)register_plugin) == CHANNEL_RC_OK);
	CHECK(registered);
	manager.CreateListener = create_listener;
	CHECK(registered->Initialize(registered, &manager) == CHANNEL_RC_OK);
	CHECK(listener_count == 2);
	CHECK(pnpdr_live_objects() == 1);
}

static IWTSVirtualChannelCallback* open_channel(IWTSVirtualChannel** channel, BOOL* accept)
{
	IWTSVirtualChannelCallback* callback = NULL;

	*channel = calloc(1, sizeof(IWTSVirtualChannel));
	CHECK(*channel);
	(*channel)->Write = channel_write;
	(*channel)->Close = channel_close;
	*accept = TRUE;
	CHECK(listeners[1]->OnNewChannelConnection(listeners[1], *channel, NULL, accept, &callback) ==
	      CHANNEL_RC_OK);
	return callback;
}

static void test_life_of_a_channel(void)
{
	IWTSVirtualChannel* channel;
	IWTSVirtualChannelCallback* callback;
	BYTE bytes[] = { 'h', 'e', 'a', 'd', 'b', 'o', 'd', 'y' };
	wStream stream = { 0 };
	BOOL accept;

	start();
	callback = open_channel(&channel, &accept);
	CHECK(accept && callback);
	/* 3.x reads a pointer that 2.x does not have behind the callbacks. */
	CHECK(((void**)callback)[3] == NULL);
	CHECK(((void**)listeners[1])[1] == NULL);
	CHECK(callback->OnOpen(callback) == CHANNEL_RC_OK);

	stream.buffer = bytes;
	stream.pointer = bytes + 4;
	stream.length = stream.capacity = sizeof(bytes);
	CHECK(callback->OnDataReceived(callback, &stream) == CHANNEL_RC_OK);
	CHECK(seen.data == bytes + 4 && seen.size == 4);

	CHECK(pnpdr_channel_write(seen.channel, "x", 1) == CHANNEL_RC_OK);
	CHECK(pnpdr_channel_write(seen.channel, "", 0) != CHANNEL_RC_OK);
	CHECK(seen.writes == 1);
	/* A failing receive is the one way to close that works everywhere. */
	seen.receive_status = ERROR_INTERNAL_ERROR;
	CHECK(callback->OnDataReceived(callback, &stream) == ERROR_INTERNAL_ERROR);
	CHECK(callback->OnClose(callback) == CHANNEL_RC_OK);
	free(channel);
	CHECK(seen.closes == 1 && pnpdr_live_objects() == 1);
	CHECK(registered->Terminated(registered) == CHANNEL_RC_OK);
	CHECK(seen.ended == 1 && pnpdr_live_objects() == 0);
}

/* 2.11 can terminate plugins before it closes their channels. */
static void test_terminated_before_close(void)
{
	IWTSVirtualChannel* channels[2];
	IWTSVirtualChannelCallback* callbacks[2];
	BOOL accept;

	start();
	for (int i = 0; i < 2; i++)
		callbacks[i] = open_channel(&channels[i], &accept);
	CHECK(registered->Terminated(registered) == CHANNEL_RC_OK);
	CHECK(seen.ended == 0);
	CHECK(pnpdr_channel_write(seen.channel, "x", 1) == CHANNEL_RC_OK);
	for (int i = 0; i < 2; i++)
	{
		CHECK(callbacks[i]->OnClose(callbacks[i]) == CHANNEL_RC_OK);
		free(channels[i]);
	}
	CHECK(seen.ended == 1 && seen.closes == 2 && pnpdr_live_objects() == 0);
}

static void test_refused_channel(void)
{
	IWTSVirtualChannel* channel;
	BOOL accept;

	start();
	seen.refuse_channel = 1;
	CHECK(open_channel(&channel, &accept) == NULL);
	CHECK(!accept && pnpdr_live_objects() == 1);
	free(channel);
	CHECK(registered->Terminated(registered) == CHANNEL_RC_OK);
	CHECK(seen.ended == 1 && seen.closes == 0);
}

/* The connection goes on without the plugin. */
static void test_no_session(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.refuse_session = 1;
	CHECK(load((void*)register_plugin) == CHANNEL_RC_OK);
	CHECK(!registered && seen.ended == 0 && pnpdr_live_objects() == 0);
}

static void test_registration_fails(void)
{
	memset(&seen, 0, sizeof(seen));
	CHECK(load((void*)register_plugin_fails) == ERROR_INTERNAL_ERROR);
	CHECK(seen.ended == 1 && pnpdr_live_objects() == 0);
}

static char large[2000] = "L";
static IWTSVirtualChannelCallback* received_on;

static UINT receive(void (*in_receive)(void))
{
	BYTE byte = 0;
	wStream stream = { .buffer = &byte, .pointer = &byte, .length = 1, .capacity = 1 };

	seen.in_receive = in_receive;
	return received_on->OnDataReceived(received_on, &stream);
}

static void write_one(void)
{
	CHECK(pnpdr_channel_write(seen.channel, "1", 1) == CHANNEL_RC_OK);
	CHECK(seen.writes == 0);
}

static void write_two(void)
{
	write_one();
	CHECK(pnpdr_channel_write(seen.channel, "2", 1) == CHANNEL_RC_OK);
	CHECK(strcmp(seen.written, "1") == 0);
}

static void write_large(void)
{
	write_one();
	CHECK(pnpdr_channel_write(seen.channel, large, sizeof(large)) == CHANNEL_RC_OK);
	CHECK(strcmp(seen.written, "1L") == 0);
}

static void write_and_flush(void)
{
	write_one();
	pnpdr_channel_flush(seen.channel);
	CHECK(strcmp(seen.written, "1") == 0);
}

static void* write_elsewhere(void* unused)
{
	CHECK(pnpdr_channel_write(seen.channel, "2", 1) == CHANNEL_RC_OK);
	CHECK(strcmp(seen.written, "12") == 0);
	return unused;
}

static void* close_elsewhere(void* unused)
{
	CHECK(received_on->OnClose(received_on) == CHANNEL_RC_OK);
	return unused;
}

static void in_thread(void* (*what)(void*))
{
	pthread_t thread;

	write_one();
	CHECK(pthread_create(&thread, NULL, what, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void write_in_thread(void)
{
	in_thread(write_elsewhere);
}

static void close_in_thread(void)
{
	in_thread(close_elsewhere);
}

/* The last small message of a callback leaves when Go has returned, and none
 * before it. */
static void test_last_message(void)
{
	static const struct
	{
		void (*in_receive)(void);
		const char* written;
	} tests[] = { { write_one, "1" },       { write_two, "12" },       { write_large, "1L" },
		          { write_and_flush, "1" }, { write_in_thread, "12" }, { NULL, "" } };
	IWTSVirtualChannel* channel;
	BOOL accept;

	start();
	received_on = open_channel(&channel, &accept);
	for (size_t i = 0; i < ARRAYSIZE(tests); i++)
	{
		seen.writes = 0;
		memset(seen.written, 0, sizeof(seen.written));
		CHECK(receive(tests[i].in_receive) == CHANNEL_RC_OK);
		CHECK(strcmp(seen.written, tests[i].written) == 0);
	}
	seen.writes = 0;
	seen.write_status = ERROR_INTERNAL_ERROR;
	CHECK(receive(write_one) == ERROR_INTERNAL_ERROR);
	CHECK(received_on->OnClose(received_on) == CHANNEL_RC_OK);
	free(channel);
	seen.write_status = CHANNEL_RC_OK;

	received_on = open_channel(&channel, &accept);
	seen.writes = 0;
	CHECK(receive(close_in_thread) == CHANNEL_RC_OK);
	CHECK(seen.writes == 0 && seen.closes == 2 && pnpdr_live_objects() == 1);
	free(channel);
	CHECK(registered->Terminated(registered) == CHANNEL_RC_OK);
	CHECK(pnpdr_live_objects() == 0);
}

int main(void)
{
	test_life_of_a_channel();
	test_terminated_before_close();
	test_refused_channel();
	test_no_session();
	test_registration_fails();
	test_last_message();
	puts("ok");
	return 0;
}
