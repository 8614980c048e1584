/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The plugin on the client side of the tests. It sends every message back,
 * except that it closes the channel when it receives "close".
 */

#include "plugin.h"

static uint32_t echo_received(callback* self, stream* data)
{
	const size_t length = data->length - (size_t)(data->pointer - data->buffer);

	if ((length == 5) && (memcmp(data->pointer, "close", 5) == 0))
		return ERROR_INTERNAL;

	return self->channel->Write(self->channel, (uint32_t)length, data->pointer, NULL);
}

static uint32_t (*const received[2])(callback*, stream*) = { echo_received, echo_received };
