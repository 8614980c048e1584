/* SPDX-License-Identifier: Apache-2.0 */
/* Plays FreeRDP and Go to the shim as its input says, within what FreeRDP
 * promises. It reads inputs from its standard input, each after its length in 4
 * bytes, and answers each with a byte. What the shim should not do ends it. */
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
			abort();                                                             \
		}                                                                        \
	} while (0)

/* ------------------------------------------------------------- the input -- */

static const uint8_t* input;
static size_t left;

static unsigned next(unsigned below)
{
	if (left == 0)
		return 0;
	left--;
	return *input++ % below;
}

/* ------------------------------------------------------------- the model -- */

typedef struct
{
	int open;
	int session;
	IWTSVirtualChannelCallback* callback;
	IWTSVirtualChannel* iws;
	pnpdr_channel* channel;
	const uint8_t* data; /* what is delivered */
	size_t size;
	int received;
} channel_model;

typedef struct
{
	int started; /* Go has a session that has not ended */
	int terminated;
	int channels;
	IWTSPlugin* plugin;
	IWTSListenerCallback* listeners[2];
	pnpdr_host host;
} session_model;

#define SESSIONS 2
#define CHANNELS 8

static session_model sessions[SESSIONS];
static channel_model channels[CHANNELS];
static int at_session, at_channel; /* of the call that is under way */
static int refuse, fail_register, there_already, no_listener, no_memory;

static int objects(void)
{
	int n = 0;

	for (int i = 0; i < SESSIONS; i++)
		n += sessions[i].started;
	for (int i = 0; i < CHANNELS; i++)
		n += channels[i].open;
	return n;
}

/* Memory can run out in the shim. */
void* __real_calloc(size_t n, size_t size);
void* __wrap_calloc(size_t n, size_t size);
void* __wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* ------------------------------------------------------------- Go's side -- */

void* pnpdrEntry(int argc, char** argv, pnpdr_host* host)
{
	session_model* s = &sessions[at_session];

	CHECK(!s->started);
	for (int i = 0; i < argc; i++)
		CHECK(strlen(argv[i]) < 100);
	if (refuse)
		return NULL;
	s->started = 1;
	s->host = *host;
	return s;
}

void pnpdrEnded(void* self)
{
	session_model* s = self;

	CHECK(s->started && s->channels == 0);
	s->started = 0;
}

void* pnpdrAccept(void* self, char* name, pnpdr_channel* channel)
{
	CHECK(self == &sessions[at_session]);
	CHECK(strcmp(name, "PNPDR") == 0 || strcmp(name, "FileRedirectorChannel") == 0);
	if (refuse)
		return NULL;
	channels[at_channel].channel = channel;
	return &channels[at_channel];
}

uint32_t pnpdrReceive(void* self, uint8_t* data, size_t size)
{
	channel_model* c = self;

	CHECK(c == &channels[at_channel] && c->open);
	CHECK(data == c->data && size == c->size);
	for (size_t i = 0; i < size; i++)
		data[i] ^= 1; /* all of it is there */
	c->received = 1;
	return refuse ? ERROR_INTERNAL_ERROR : CHANNEL_RC_OK;
}

void pnpdrClosed(void* self)
{
	channel_model* c = self;

	CHECK(c == &channels[at_channel] && c->open);
	c->open = 0;
	sessions[c->session].channels--;
}

/* -------------------------------------------------------- FreeRDP's side -- */

/* The library that FreeRDP's entry points lie in is this program; the shim looks
 * for these in it. By other names here, since headers declare them. */
void fake_version(int* major, int* minor, int* revision) __asm__("freerdp_get_version");
void* fake_pointer(const void* settings, size_t id) __asm__("freerdp_settings_get_pointer");
int32_t fake_stats(void* rdp, uint64_t* in, uint64_t* out, uint64_t* inPackets,
                   uint64_t* outPackets) __asm__("freerdp_get_stats");
void* fake_log(const char* name) __asm__("WLog_Get");
int32_t fake_active(void* log, uint32_t level) __asm__("WLog_IsLevelActive");
int32_t fake_print(void* log, uint32_t type, uint32_t level, size_t line, const char* file,
                   const char* function, const char* format,
                   const char* text) __asm__("WLog_PrintMessage");

static int some_settings, some_log, some_rdp;
static void* context[64]; /* the rdpRdp is at 32 in every version: see abicheck.c */
static void* instance[1];
static int lines;

void fake_version(int* major, int* minor, int* revision)
{
	*major = 3;
	*minor = 10;
	*revision = 3;
}

void* fake_pointer(const void* settings, size_t id)
{
	CHECK(settings == &some_settings && id == 0);
	return next(4) ? instance : NULL;
}

int32_t fake_stats(void* rdp, uint64_t* in, uint64_t* out, uint64_t* inPackets,
                   uint64_t* outPackets)
{
	CHECK(rdp == &some_rdp && !in && out && !inPackets && !outPackets);
	*out = 42;
	return 1;
}

void* fake_log(const char* name)
{
	CHECK(strstr(name, "pnpdr"));
	return next(8) ? &some_log : NULL;
}

int32_t fake_active(void* log, uint32_t level)
{
	CHECK(log == &some_log);
	return level > 1;
}

int32_t fake_print(void* log, uint32_t type, uint32_t level, size_t line, const char* file,
                   const char* function, const char* format, const char* text)
{
	(void)type;
	(void)line;
	CHECK(log == &some_log && level > 0 && file && function);
	CHECK(strcmp(format, "%s") == 0 && strlen(text) < 300);
	lines++;
	return 1;
}

static UINT register_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name, IWTSPlugin* plugin)
{
	(void)entry;
	CHECK(strcmp(name, "pnpdr") == 0);
	if (fail_register)
		return ERROR_INTERNAL_ERROR;
	sessions[at_session].plugin = plugin;
	return CHANNEL_RC_OK;
}

static IWTSPlugin* get_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name)
{
	(void)entry;
	(void)name;
	return there_already ? (IWTSPlugin*)&some_log : NULL;
}

static ADDIN_ARGV* arguments;

static void* plugin_data(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return arguments;
}

static void* settings_of(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return next(4) ? &some_settings : NULL;
}

static UINT create_listener(IWTSVirtualChannelManager* manager, const char* name, ULONG flags,
                            IWTSListenerCallback* callback, IWTSListener** listener)
{
	(void)manager;
	(void)flags;
	(void)listener;
	if (no_listener)
		return ERROR_INTERNAL_ERROR;
	sessions[at_session].listeners[strcmp(name, "PNPDR") == 0] = callback;
	return CHANNEL_RC_OK;
}

static UINT channel_write(IWTSVirtualChannel* channel, ULONG size, const BYTE* data, void* reserved)
{
	CHECK(channel == channels[at_channel].iws);
	CHECK(size > 0 && !reserved);
	for (ULONG i = 0; i < size; i++)
		CHECK(data[i] == 7);
	return next(2) ? CHANNEL_RC_OK : ERROR_INTERNAL_ERROR;
}

static UINT channel_close(IWTSVirtualChannel* channel)
{
	(void)channel;
	CHECK(!"Close is called");
	return CHANNEL_RC_OK;
}

/* --------------------------------------------------------- what happens -- */

static void load(session_model* s)
{
	static char* words[] = { "pnpdr", "loopback", "file:/tmp/x", "" };
	/* On the heap, and no larger than FreeRDP 2 makes them. */
	void** entry = malloc(4 * sizeof(void*));
	IWTSVirtualChannelManager* manager = __real_calloc(1, sizeof(*manager));
	unsigned argc = next(6);
	UINT status;

	if (s->started)
	{
		free(entry);
		free(manager);
		return;
	}
	memset(s, 0, sizeof(*s));
	arguments = NULL;
	if (argc < 5)
	{
		arguments = malloc(sizeof(*arguments));
		arguments->argc = (int)argc;
		arguments->argv = malloc((argc + 1) * sizeof(char*));
		for (unsigned i = 0; i < argc; i++)
			arguments->argv[i] = words[i % 4];
	}
	there_already = next(8) == 1;
	fail_register = next(8) == 1;
	no_listener = next(8) == 1;
	entry[0] = (void*)register_plugin;
	entry[1] = (void*)get_plugin;
	entry[2] = (void*)plugin_data;
	entry[3] = (void*)settings_of;
	instance[0] = next(4) ? context : NULL;
	context[32] = next(4) ? &some_rdp : NULL;
	status = DVCPluginEntry((IDRDYNVC_ENTRY_POINTS*)entry);
	CHECK((status != CHANNEL_RC_OK) == (fail_register && !there_already && !refuse && !no_memory));
	CHECK(s->started == (s->plugin != NULL));
	if (arguments)
		free(arguments->argv);
	free(arguments);
	free(entry);
	if (s->plugin)
	{
		manager->CreateListener = create_listener;
		status = s->plugin->Initialize(s->plugin, manager);
		CHECK((status != CHANNEL_RC_OK) == no_listener);
		if (s->host.log)
			pnpdr_log(&s->host, 2, "%s%n");
		(void)pnpdr_log_active(&s->host, next(5));
	}
	free(manager);
}

static void open_channel(session_model* s, channel_model* c)
{
	IWTSListenerCallback* listener = s->listeners[next(2)];
	BOOL accept = (BOOL)next(2);

	if (c->open || !s->started || s->terminated || !listener)
		return;
	memset(c, 0, sizeof(*c));
	c->session = at_session;
	c->iws = __real_calloc(1, sizeof(*c->iws));
	c->iws->Write = channel_write;
	c->iws->Close = channel_close;
	CHECK(listener->OnNewChannelConnection(listener, c->iws, NULL, &accept, &c->callback) ==
	      CHANNEL_RC_OK);
	CHECK(accept == (!refuse && !no_memory));
	if (!accept)
	{
		CHECK(!c->callback);
		free(c->iws);
		return;
	}
	CHECK(((void**)c->callback)[3] == NULL);
	c->open = 1;
	s->channels++;
	if (c->callback->OnOpen)
		CHECK(c->callback->OnOpen(c->callback) == CHANNEL_RC_OK);
}

static void receive(channel_model* c)
{
	size_t size = next(255), position = next(255);
	wStream stream = { 0 };
	BYTE* buffer;

	if (!c->open)
		return;
	if (position > size)
		position = size;
	buffer = malloc(size ? size : 1);
	memset(buffer, 7, size);
	stream.buffer = buffer;
	stream.pointer = buffer + position;
	stream.length = stream.capacity = size;
	c->data = stream.pointer;
	c->size = size - position;
	c->received = 0;
	CHECK((c->callback->OnDataReceived(c->callback, &stream) == CHANNEL_RC_OK) == !refuse);
	CHECK(c->received && stream.buffer == buffer && stream.length == size);
	free(buffer);
}

static void send_data(channel_model* c)
{
	unsigned size = next(255);
	BYTE* data;

	if (!c->open)
		return;
	data = malloc(size ? size : 1);
	memset(data, 7, size);
	if (pnpdr_channel_write(c->channel, data, size) == CHANNEL_RC_OK)
		CHECK(size > 0);
	free(data);
	if (pnpdr_host_counts(&sessions[c->session].host))
		CHECK(pnpdr_channel_sent(c->channel) == 42);
}

static void close_channel(channel_model* c)
{
	if (!c->open)
		return;
	CHECK(c->callback->OnClose(c->callback) == CHANNEL_RC_OK);
	CHECK(!c->open);
	free(c->iws);
}

static void terminate(session_model* s)
{
	if (!s->started || s->terminated)
		return;
	s->terminated = 1;
	CHECK(s->plugin->Terminated(s->plugin) == CHANNEL_RC_OK);
	CHECK(s->started == (s->channels > 0));
}

static void run(void)
{
	memset(sessions, 0, sizeof(sessions));
	memset(channels, 0, sizeof(channels));
	while (left > 0)
	{
		unsigned what = next(16);

		at_session = (int)next(SESSIONS);
		at_channel = (int)next(CHANNELS);
		refuse = next(8) == 1;
		no_memory = (what == 0 || what == 2) && next(16) == 1;
		switch (what)
		{
			case 0:
			case 1:
				load(&sessions[at_session]);
				break;
			case 2:
			case 3:
			case 4:
				open_channel(&sessions[at_session], &channels[at_channel]);
				break;
			case 5:
			case 6:
			case 7:
				close_channel(&channels[at_channel]);
				break;
			case 8:
				terminate(&sessions[at_session]);
				break;
			case 9:
			case 10:
			case 11:
				send_data(&channels[at_channel]);
				break;
			default:
				receive(&channels[at_channel]);
		}
		CHECK(pnpdr_live_objects() == objects());
		for (int i = 0; i < SESSIONS; i++)
			CHECK(!sessions[i].terminated || sessions[i].started == (sessions[i].channels > 0));
	}
	for (at_channel = 0; at_channel < CHANNELS; at_channel++)
		close_channel(&channels[at_channel]);
	for (int i = 0; i < SESSIONS; i++)
		terminate(&sessions[i]);
	CHECK(pnpdr_live_objects() == 0);
}

int main(void)
{
	uint32_t size;

	while (fread(&size, sizeof(size), 1, stdin) == 1)
	{
		/* Of its own size, so that reading beyond it is found. */
		uint8_t* data = malloc(size ? size : 1);

		CHECK(data && fread(data, 1, size, stdin) == size);
		input = data;
		left = size;
		run();
		free(data);
		CHECK(putchar(1) == 1 && fflush(stdout) == 0);
	}
	return 0;
}
