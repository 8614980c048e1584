/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The plugin on the client side of the tests. It sends every message back,
 * except that it closes the channel when it receives "close", and sends N messages
 * of 1500 bytes when it receives "flood" and N in four bytes. With an option it prints
 * that when a channel closes.
 */

#include "plugin.h"

static uint32_t echo_received(callback* self, stream* data)
{
	const size_t length = data->length - (size_t)(data->pointer - data->buffer);

	if ((length == 5) && (memcmp(data->pointer, "close", 5) == 0))
		return ERROR_INTERNAL;

	if ((length == 9) && (memcmp(data->pointer, "flood", 5) == 0))
	{
		static const uint8_t zeros[1500];
		uint32_t n = 0;
		uint32_t error = 0;

		memcpy(&n, data->pointer + 5, sizeof(n));

		while ((n-- > 0) && !error)
			error = self->channel->Write(self->channel, sizeof(zeros), zeros, NULL);

		return error;
	}

	return self->channel->Write(self->channel, (uint32_t)length, data->pointer, NULL);
}

static void echo_closed(callback* self)
{
	(void)self;

	if (option[0])
		fprintf(stderr, "%s\n", option);
}

static uint32_t (*const received[2])(callback*, stream*) = { echo_received, echo_received };
static void (*const closed)(callback*) = echo_closed;
