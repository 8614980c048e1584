/* SPDX-License-Identifier: Apache-2.0 */
/* A client of libfreerdp-client without a window that runs several sessions in
 * one process, as Remmina does with its tabs:
 *
 *   sessions PARALLEL ROUNDS NAME ARGUMENTS...
 *
 * connects PARALLEL times at once, each with xfreerdp's ARGUMENTS, until the
 * server disconnects, and does that ROUNDS times. Builds against FreeRDP 2.11
 * and 3.x. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <freerdp/addin.h>
#include <freerdp/client.h>
#include <freerdp/client/channels.h>
#include <freerdp/client/cmdline.h>
#include <freerdp/freerdp.h>
#include <freerdp/gdi/gdi.h>
#include <freerdp/version.h>
#include <winpr/synch.h>

static int arg_count;
static char** arg_values;

#if FREERDP_VERSION_MAJOR < 3
static BOOL load_channels(freerdp* instance)
{
	return freerdp_client_load_addins(instance->context->channels, instance->settings);
}
#endif

static BOOL post_connect(freerdp* instance)
{
	return gdi_init(instance, PIXEL_FORMAT_XRGB32);
}

static void post_disconnect(freerdp* instance)
{
	gdi_free(instance);
}

static BOOL client_new(freerdp* instance, rdpContext* context)
{
	(void)context;
#if FREERDP_VERSION_MAJOR >= 3
	instance->LoadChannels = freerdp_client_load_channels;
#else
	instance->PreConnect = load_channels;
#endif
	instance->PostConnect = post_connect;
	instance->PostDisconnect = post_disconnect;
	return TRUE;
}

static rdpSettings* settings_of(rdpContext* context)
{
#if FREERDP_VERSION_MAJOR >= 3
	return context->settings;
#else
	return context->instance->settings;
#endif
}

/* Returns a session that is ready to connect, or NULL. */
static rdpContext* prepare(void)
{
	RDP_CLIENT_ENTRY_POINTS entry = { 0 };
	rdpContext* context;

	entry.Version = RDP_CLIENT_INTERFACE_VERSION;
	entry.Size = sizeof(RDP_CLIENT_ENTRY_POINTS_V1);
	entry.ContextSize = sizeof(rdpClientContext);
	entry.ClientNew = client_new;
	context = freerdp_client_context_new(&entry);
	if (context && freerdp_client_settings_parse_command_line(settings_of(context), arg_count,
	                                                          arg_values, FALSE) != 0)
	{
		freerdp_client_context_free(context);
		context = NULL;
	}
	return context;
}

/* Runs a session until the server disconnects. Returns NULL if it did not connect. */
static void* run(void* arg)
{
	rdpContext* context = arg;
	BOOL connected = freerdp_connect(context->instance);

	if (connected)
	{
		while (!freerdp_shall_disconnect(context->instance))
		{
			HANDLE handles[64];
			DWORD n = freerdp_get_event_handles(context, handles, 64);

			/* With a timeout: 2.11 may already hold a message that it read
			 * together with the one before, and no handle is set then. */
			if (n == 0 || WaitForMultipleObjects(n, handles, FALSE, 50) == WAIT_FAILED ||
			    !freerdp_check_event_handles(context))
				break;
		}
		freerdp_disconnect(context->instance);
	}
	freerdp_client_context_free(context);
	return connected ? &arg_count : NULL;
}

int main(int argc, char** argv)
{
	int parallel = argc > 3 ? atoi(argv[1]) : 0;
	int rounds = argc > 3 ? atoi(argv[2]) : 0;
	int failures = 0;

	if (parallel < 1 || parallel > 16)
		return 2;
	freerdp_register_addin_provider(freerdp_channels_load_static_addin_entry, 0);
	arg_count = argc - 3;
	arg_values = argv + 3;
	for (int round = 0; round < rounds; round++)
	{
		pthread_t threads[16];
		rdpContext* contexts[16];

		/* Before there are threads: FreeRDP sets the filters of its log, which are the
		 * process's, without a lock. */
		for (int i = 0; i < parallel; i++)
			if (!(contexts[i] = prepare()))
				return 2;
		for (int i = 0; i < parallel; i++)
			if (pthread_create(&threads[i], NULL, run, contexts[i]) != 0)
				return 2;
		for (int i = 0; i < parallel; i++)
		{
			void* connected = NULL;

			pthread_join(threads[i], &connected);
			failures += !connected;
		}
	}
	printf("%d sessions, %d failed\n", parallel * rounds, failures);
	return failures ? 1 : 0;
}
