/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The server of the benchmarks that have one client: one thread, which asks the
 * client's first device for the same thing again and again. It is written in C
 * so that all there is of Go's runtime is in the client that is measured.
 *
 *     server CERTIFICATE KEY
 *
 * It prints the port that it listens on, takes one client, and prints "ready"
 * once that has announced a device. From then on it reads commands:
 *
 *     read|write|control|open SIZE OUTSTANDING MILLISECONDS
 *
 * does so for that long on one handle ("open" opens and closes others) and
 * prints the number of operations and the seconds that they took. It ends with
 * its standard input. A reply that is not the expected one ends it with an
 * error. It reads little-endian fields as they are in memory.
 */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <winpr/ssl.h>
#include <winpr/synch.h>
#include <winpr/wtsapi.h>

#include <freerdp/freerdp.h>
#include <freerdp/peer.h>
#include <freerdp/settings.h>
#include <freerdp/version.h>
#include <freerdp/channels/channels.h>
#include <freerdp/channels/wtsvc.h>
#if FREERDP_VERSION_MAJOR >= 3
#include <freerdp/channels/drdynvc.h>
#include <freerdp/crypto/certificate.h>
#include <freerdp/crypto/privatekey.h>
#endif

enum
{
	PNPDR_VERSION = 0x65,
	PNPDR_DEVICE_ADDITION = 0x66,
	PNPDR_AUTHENTICATED = 0x67,

	READ_REQUEST = 0,
	WRITE_REQUEST = 1,
	IOCONTROL_REQUEST = 2,
	CREATE_FILE_REQUEST = 4,
	CAPABILITIES_REQUEST = 5,

	IOCTL_ECHO = 0x00222440,

	MAX_DATA = 1 << 20,
	MAX_OUTSTANDING = 64,
	MAX_HANDLES = 16
};

static freerdp_peer* client;
static HANDLE vcm;
static DWORD session;
static uint32_t device;
static uint8_t request[MAX_DATA + 64];
static uint8_t reply[MAX_DATA + 64];

static void die(const char* what)
{
	fprintf(stderr, "server: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t get32(const uint8_t* p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put32(uint8_t* p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static BOOL yes(freerdp_peer* peer)
{
	(void)peer;
	return TRUE;
}

static BOOL configure(const char* certificate, const char* key)
{
	LPSTR id = NULL;
	DWORD size = 0;
	rdpSettings* settings;

	if (!freerdp_peer_context_new(client))
		return FALSE;

	vcm = WTSOpenServerA((LPSTR)client->context);

	if (!vcm || (vcm == INVALID_HANDLE_VALUE) ||
	    !WTSQuerySessionInformationA(vcm, WTS_CURRENT_SESSION, WTSSessionId, &id, &size))
		return FALSE;

	memcpy(&session, id, sizeof(session));
	WTSFreeMemory(id);
#if FREERDP_VERSION_MAJOR >= 3
	settings = client->context->settings;

	if (!freerdp_settings_set_pointer_len(settings, FreeRDP_RdpServerRsaKey,
	                                      freerdp_key_new_from_file(key), 1) ||
	    !freerdp_settings_set_pointer_len(settings, FreeRDP_RdpServerCertificate,
	                                      freerdp_certificate_new_from_file(certificate), 1))
		return FALSE;
#else
	settings = client->settings;

	/* 2.11 reads for this many milliseconds before it lets us answer. */
	if (!freerdp_settings_set_string(settings, FreeRDP_CertificateFile, certificate) ||
	    !freerdp_settings_set_string(settings, FreeRDP_PrivateKeyFile, key) ||
	    !freerdp_settings_set_uint32(settings, FreeRDP_MaxTimeInCheckLoop, 1))
		return FALSE;
#endif
	if (!freerdp_settings_set_bool(settings, FreeRDP_RdpSecurity, FALSE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_NlaSecurity, FALSE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_TlsSecurity, TRUE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_WaitForOutputBufferFlush, FALSE) ||
	    !freerdp_settings_set_uint32(settings, FreeRDP_ColorDepth, 32))
		return FALSE;

	client->PostConnect = yes;
	client->Activate = yes;
	return client->Initialize(client);
}

/* Sends what is queued. 3.x opens drdynvc in the first call, once and only once:
 * not before the client has joined it. */
static void flush(void)
{
	if (client->activated && !WTSVirtualChannelManagerCheckFileDescriptor(vcm))
		die("the channel manager failed");
}

/* Sends what is queued, waits for the client and reads what it sent. */
static void turn(void)
{
	HANDLE handles[MAX_HANDLES];
	DWORD count;

	flush();
	count = client->GetEventHandles(client, handles, MAX_HANDLES);

	if (client->IsWriteBlocked(client))
	{
		if (client->DrainOutputBuffer(client) < 0)
			die("the client is gone");

		(void)WaitForMultipleObjects(count, handles, FALSE, 1);
	}
	else if (WaitForMultipleObjects(count, handles, FALSE, 60000) == WAIT_TIMEOUT)
		die("the client does not answer");

	do
	{
		if (!client->CheckFileDescriptor(client))
			die("the client is gone");
	} while (client->HasMoreToRead(client));
}

static HANDLE channel_open(const char* name)
{
	HANDLE channel = WTSVirtualChannelOpenEx(session, (LPSTR)name, WTS_CHANNEL_OPTION_DYNAMIC);

	if (!channel)
		die("a channel cannot be opened");

	for (;;)
	{
		DWORD size = 0;
		void* ready = NULL;
		BOOL is_ready;

		if (!WTSVirtualChannelQuery(channel, WTSVirtualChannelReady, &ready, &size))
			die("the client refuses a channel");

		is_ready = *(BOOL*)ready;
		WTSFreeMemory(ready);

		if (is_ready)
			return channel;

		turn();
	}
}

static void channel_write(HANDLE channel, size_t size)
{
	ULONG written = 0;

	if (!WTSVirtualChannelWrite(channel, (PCHAR)request, (ULONG)size, &written))
		die("a channel cannot be written");
}

/* Waits for a message; it is in reply. */
static size_t channel_read(HANDLE channel)
{
	ULONG size = 0;

	while (!WTSVirtualChannelRead(channel, 0, NULL, 0, &size))
		turn();

	if ((size > sizeof(reply)) || !WTSVirtualChannelRead(channel, 0, (PCHAR)reply, size, &size))
		die("a channel cannot be read");

	return size;
}

/* PNPDR: 3.3.5.1. */
static void info(uint32_t packet, size_t size)
{
	put32(request, (uint32_t)size);
	put32(request + 4, packet);
}

static void handshake(void)
{
	HANDLE channel = channel_open("PNPDR");

	info(PNPDR_VERSION, 20);
	put32(request + 8, 1);
	put32(request + 12, 6);
	put32(request + 16, 1);
	channel_write(channel, 20);
	(void)channel_read(channel);
	info(PNPDR_AUTHENTICATED, 8);
	channel_write(channel, 8);

	if ((channel_read(channel) < 16) || (get32(reply + 4) != PNPDR_DEVICE_ADDITION))
		die("the client announces no device");

	device = get32(reply + 12);
}

/* FileRedirectorChannel: 3.3.5.2. */
static void begin(uint32_t id, uint32_t function)
{
	put32(request, id);
	put32(request + 4, function);
}

static HANDLE handle_open(void)
{
	HANDLE channel = channel_open("FileRedirectorChannel");

	begin(0, CAPABILITIES_REQUEST);
	request[8] = 6;
	request[9] = 0;
	channel_write(channel, 10);
	(void)channel_read(channel);
	begin(0, CREATE_FILE_REQUEST);
	put32(request + 8, device);
	put32(request + 12, GENERIC_READ | GENERIC_WRITE);
	put32(request + 16, 3); /* sharing reads and writes */
	put32(request + 20, 3); /* OPEN_EXISTING */
	put32(request + 24, 0);
	channel_write(channel, 28);

	if ((channel_read(channel) != 8) || get32(reply + 4))
		die("the device cannot be opened");

	return channel;
}

typedef struct
{
	const char* name;
	uint32_t function;
} operation;

static const operation operations[] = { { "read", READ_REQUEST },
	                                    { "write", WRITE_REQUEST },
	                                    { "control", IOCONTROL_REQUEST } };

/* Returns the size of the request, whose data is whatever there is. */
static size_t lay(uint32_t function, uint32_t size)
{
	begin(0, function);

	switch (function)
	{
		case READ_REQUEST:
		case WRITE_REQUEST:
			put32(request + 8, size);
			put32(request + 12, 0);
			put32(request + 16, 0);
			return (function == WRITE_REQUEST) ? 21 + size : 20;
		default:
			put32(request + 8, IOCTL_ECHO);
			put32(request + 12, size);
			put32(request + 16, size);
			return 21 + size;
	}
}

static unsigned long repeat(HANDLE handle, uint32_t function, uint32_t size, uint32_t outstanding,
                            double until)
{
	unsigned long done = 0;
	uint32_t left = outstanding;
	const size_t length = lay(function, size);
	const size_t expected = (function == WRITE_REQUEST) ? 12 : 13 + size;

	for (uint32_t id = 0; id < outstanding; id++)
	{
		put32(request, id);
		channel_write(handle, length);
	}

	while (left > 0)
	{
		if ((channel_read(handle) != expected) || get32(reply + 4) || (get32(reply + 8) != size))
			die("a request failed");

		done++;

		if (now() < until)
		{
			put32(request, get32(reply) & 0xFFFFFF);
			channel_write(handle, length);
		}
		else
			left--;
	}

	return done;
}

static unsigned long open_and_close(double until)
{
	unsigned long done = 0;

	for (; now() < until; done++)
		WTSVirtualChannelClose(handle_open());

	flush();
	return done;
}

static void obey(HANDLE handle)
{
	char name[16];
	unsigned size;
	unsigned outstanding;
	unsigned milliseconds;

	while (scanf("%15s %u %u %u", name, &size, &outstanding, &milliseconds) == 4)
	{
		const double began = now();
		const double until = began + milliseconds * 1e-3;
		unsigned long done = 0;

		if ((size > MAX_DATA) || (outstanding > MAX_OUTSTANDING))
			die("that is too much");

		if (strcmp(name, "open") == 0)
			done = open_and_close(until);

		for (size_t i = 0; i < ARRAYSIZE(operations); i++)
		{
			if (strcmp(name, operations[i].name) == 0)
				done = repeat(handle, operations[i].function, size, outstanding, until);
		}

		printf("%lu %.9f\n", done, now() - began);
	}
}

/* Returns the socket of the first client. */
static int take_client(void)
{
	int sockfd;
	const int on = 1;
	struct sockaddr_in address = { .sin_family = AF_INET,
		                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);

	if ((listener < 0) || bind(listener, (struct sockaddr*)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr*)&address, &size))
		die("cannot listen");

	printf("%u\n", ntohs(address.sin_port));
	sockfd = accept(listener, NULL, NULL);

	if ((sockfd < 0) || setsockopt(sockfd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("there is no client");

	close(listener);
	return sockfd;
}

/* To one processor, so that the client has the others to itself: a real server is
 * another machine, and what share of whose processor it gets here is chance. */
static void stay(void)
{
	cpu_set_t allowed;
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("the processors are not known");

	while (!CPU_ISSET(cpu, &allowed))
		cpu++;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);

	if (sched_setaffinity(0, sizeof(one), &one))
		die("it cannot stay on a processor");
}

int main(int argc, char** argv)
{
	HANDLE handle;

	if (argc != 3)
		die("usage: server CERTIFICATE KEY");

	stay();
	setvbuf(stdout, NULL, _IOLBF, 0);
	winpr_InitializeSSL(WINPR_SSL_INIT_DEFAULT);
	WTSRegisterWtsApiFunctionTable(FreeRDP_InitWtsApi());
	client = freerdp_peer_new(take_client());

	if (!client || !configure(argv[1], argv[2]))
		die("a session cannot be set up");

	while (!client->activated || !WTSVirtualChannelManagerIsChannelJoined(vcm, "drdynvc") ||
	       (WTSVirtualChannelManagerGetDrdynvcState(vcm) != DRDYNVC_STATE_READY))
		turn();

	handshake();
	handle = handle_open();
	printf("ready\n");
	obey(handle);
	return 0;
}
