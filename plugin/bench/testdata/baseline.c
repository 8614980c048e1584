/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The yardstick of the benchmarks: the loopback device, and with the option
 * file:PATH a file, in a plugin that is written purely in C and does no more than
 * it must.
 *
 * It answers every request at once, in FreeRDP's callback, without a lock, from
 * a buffer that its channel keeps: about what a plugin written purely in C can
 * reach. What a real one owes its user is left out: limits, cancelling, devices
 * that take their time, more than one device, flow control. It checks what it
 * must not misread, and closes the channel otherwise. It reads little-endian
 * fields as they are in memory.
 */

#include <fcntl.h>

#include "../../../cshim/server/testdata/plugin.h"

#define HRESULT_INVALID_FUNCTION 0x80070001
#define HRESULT_FILE_NOT_FOUND 0x80070002
#define HRESULT_HANDLE_EOF 0x80070026
#define HRESULT_DISK_FULL 0x80070070

/* What all handles read and write. */
static uint8_t store[1 << 20];

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

/* PNPDR: Client Version and Client Device Addition, examples 4.1 and 4.2. */
enum
{
	PACKET_VERSION = 0x65,
	PACKET_AUTHENTICATED = 0x67
};

static const uint8_t client_version[] = { 20, 0, 0, 0, 0x65, 0, 0, 0, 1, 0,
	                                      0,  0, 6, 0, 0,    0, 1, 0, 0, 0 };

static const uint8_t device_addition[] = {
	/* Size, PacketId, DeviceCount, ClientDeviceID, DataSize */
	106, 0, 0, 0, 0x66, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 86, 0, 0, 0,
	/* the interface {2B4A9C46-658D-4AF2-A91D-1E691861706C} */
	16, 0, 0, 0, 0x46, 0x9C, 0x4A, 0x2B, 0x8D, 0x65, 0xF2, 0x4A, 0xA9, 0x1D, 0x1E, 0x69, 0x18, 0x61,
	0x70, 0x6C,
	/* the hardware id "WUDF\LB", no compatible ids */
	18, 0, 0, 0, 'W', 0, 'U', 0, 'D', 0, 'F', 0, '\\', 0, 'L', 0, 'B', 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* the name "Ts Fake Device" */
	28, 0, 0, 0, 'T', 0, 's', 0, ' ', 0, 'F', 0, 'a', 0, 'k', 0, 'e', 0, ' ', 0, 'D', 0, 'e', 0,
	'v', 0, 'i', 0, 'c', 0, 'e', 0,
	/* CustomFlag */
	4, 0, 0, 0, 2, 0, 0, 0
};

_Static_assert(sizeof(device_addition) == 106, "Size");

static uint32_t info_received(callback* self, stream* data)
{
	const uint8_t* msg = data->pointer;
	const size_t length = data->length - (size_t)(msg - data->buffer);

	if (length < 8)
		return ERROR_INTERNAL;

	switch (get32(msg + 4))
	{
		case PACKET_VERSION:
			return self->channel->Write(self->channel, sizeof(client_version), client_version,
			                            NULL);
		case PACKET_AUTHENTICATED:
			return self->channel->Write(self->channel, sizeof(device_addition), device_addition,
			                            NULL);
		default:
			return ERROR_INTERNAL;
	}
}

/* FileRedirectorChannel. */
enum
{
	READ_REQUEST = 0,
	WRITE_REQUEST = 1,
	IOCONTROL_REQUEST = 2,
	CREATE_FILE_REQUEST = 4,
	CAPABILITIES_REQUEST = 5,

	IOCTL_ECHO = 0x00222440
};

static uint32_t reply_short(callback* self, const uint8_t* msg, uint32_t value, uint32_t size)
{
	uint8_t reply[8];

	put32(reply, get32(msg) & 0xFFFFFF);
	put32(reply + 4, value);
	return self->channel->Write(self->channel, size, reply, NULL);
}

static uint32_t reply_written(callback* self, const uint8_t* msg, uint32_t result, uint32_t count)
{
	uint8_t reply[12];

	put32(reply, get32(msg) & 0xFFFFFF);
	put32(reply + 4, result);
	put32(reply + 8, count);
	return self->channel->Write(self->channel, sizeof(reply), reply, NULL);
}

static uint8_t* reply_room(callback* self, uint32_t count)
{
	const size_t size = 12 + (size_t)count + 1;

	if (size > self->capacity)
	{
		uint8_t* reply = realloc(self->reply, size);

		if (!reply)
			return NULL;

		self->reply = reply;
		self->capacity = size;
	}

	return self->reply + 12;
}

static uint32_t reply_filled(callback* self, const uint8_t* msg, uint32_t result, uint32_t count)
{
	put32(self->reply, get32(msg) & 0xFFFFFF);
	put32(self->reply + 4, result);
	put32(self->reply + 8, count);
	self->reply[12 + count] = 0;
	return self->channel->Write(self->channel, 12 + count + 1, self->reply, NULL);
}

static uint32_t reply_data(callback* self, const uint8_t* msg, uint32_t result, const uint8_t* data,
                           uint32_t count)
{
	uint8_t* room = reply_room(self, count);

	if (!room)
		return ERROR_OUTOFMEMORY;

	memcpy(room, data, count);
	return reply_filled(self, msg, result, count);
}

static uint32_t open_file(callback* self, const uint8_t* msg)
{
	static const char prefix[] = "file:";

	if (strncmp(option, prefix, strlen(prefix)) == 0)
	{
		self->file = open(option + strlen(prefix), O_RDWR | O_CLOEXEC);

		if (self->file < 0)
			return reply_short(self, msg, HRESULT_FILE_NOT_FOUND, 8);
	}

	return reply_short(self, msg, 0, 8);
}

static uint32_t read_file(callback* self, const uint8_t* msg, uint64_t offset, uint32_t count)
{
	ssize_t n;
	uint8_t* room = reply_room(self, count);

	if (!room)
		return ERROR_OUTOFMEMORY;

	n = pread(self->file, room, count, (off_t)offset);
	return reply_filled(self, msg, (n > 0) ? 0 : HRESULT_HANDLE_EOF, (n > 0) ? (uint32_t)n : 0);
}

static uint32_t write_file(callback* self, const uint8_t* msg, uint64_t offset, uint32_t count)
{
	const ssize_t n = pwrite(self->file, msg + 20, count, (off_t)offset);

	return reply_written(self, msg, (n >= 0) ? 0 : HRESULT_DISK_FULL, (n >= 0) ? (uint32_t)n : 0);
}

/* How many of count bytes at offset there are in the store. */
static uint32_t in_store(uint64_t offset, uint32_t count)
{
	if (offset >= sizeof(store))
		return 0;

	return (count < sizeof(store) - offset) ? count : (uint32_t)(sizeof(store) - offset);
}

static uint32_t io_received(callback* self, stream* data)
{
	const uint8_t* msg = data->pointer;
	const size_t length = data->length - (size_t)(msg - data->buffer);
	uint64_t offset = 0;
	uint32_t count = 0;
	uint32_t room = 0;

	if (length < 10)
		return ERROR_INTERNAL;

	switch (get32(msg + 4))
	{
		case CAPABILITIES_REQUEST:
			return reply_short(self, msg, 6, 6);

		case CREATE_FILE_REQUEST:
			return open_file(self, msg);

		case READ_REQUEST:
			if (length < 20)
				return ERROR_INTERNAL;

			offset = ((uint64_t)get32(msg + 12) << 32) | get32(msg + 16);

			if (self->file >= 0)
				return read_file(self, msg, offset, get32(msg + 8));

			if (offset >= sizeof(store))
				return reply_data(self, msg, HRESULT_HANDLE_EOF, msg, 0);

			return reply_data(self, msg, 0, store + offset, in_store(offset, get32(msg + 8)));

		case WRITE_REQUEST:
			if ((length < 20) || (get32(msg + 8) > length - 20))
				return ERROR_INTERNAL;

			offset = ((uint64_t)get32(msg + 12) << 32) | get32(msg + 16);

			if (self->file >= 0)
				return write_file(self, msg, offset, get32(msg + 8));

			if (offset >= sizeof(store))
				return reply_written(self, msg, HRESULT_DISK_FULL, 0);

			count = in_store(offset, get32(msg + 8));
			memcpy(store + offset, msg + 20, count);
			return reply_written(self, msg, 0, count);

		case IOCONTROL_REQUEST:
			if ((length < 20) || (get32(msg + 12) > length - 20))
				return ERROR_INTERNAL;

			if (get32(msg + 8) != IOCTL_ECHO)
				return reply_data(self, msg, HRESULT_INVALID_FUNCTION, msg, 0);

			count = get32(msg + 12);
			room = get32(msg + 16);
			return reply_data(self, msg, 0, msg + 20, (count < room) ? count : room);

		default:
			return ERROR_INTERNAL;
	}
}

static uint32_t (*const received[2])(callback*, stream*) = { info_received, io_received };
