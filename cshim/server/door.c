/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <stdlib.h>
#include <string.h>

/* [MS-RDPBCGR] 2.2.6.1.1 */
#define CHUNK_FIRST 1
#define CHUNK_LAST 2

/* [MS-RDPEDYC] 2.2.3.1 */
#define DYNVC_DATA_FIRST 2

/* The size of a field of variable length, by its two bits in the header. */
static size_t width(unsigned bits)
{
	static const size_t widths[] = { 1, 2, 4, 4 }; /* 3 is not defined; FreeRDP reads 4 */

	return widths[bits & 3];
}

static uint32_t number(const uint8_t* data, size_t size)
{
	uint32_t n = 0;

	for (size_t i = 0; i < size; i++)
		n |= (uint32_t)data[i] << (8 * i);

	return n;
}

/* The length in the header of a DYNVC_DATA_FIRST and its channel; 0 for other PDUs
 * and as long as the header is incomplete. */
static uint32_t announced(const rds_door* door, uint32_t* id)
{
	const size_t at = 1 + width(door->head[0]);
	const size_t size = width(door->head[0] >> 2);

	if ((door->head[0] >> 4 != DYNVC_DATA_FIRST) || (door->length < at + size))
		return 0;

	*id = number(door->head + 1, at - 1);
	return number(door->head + at, size);
}

/* Where the channel is, or would be. */
static size_t find(const rds_door* door, uint32_t id)
{
	size_t low = 0;
	size_t high = door->count;

	while (low < high)
	{
		const size_t middle = low + (high - low) / 2;

		if (door->channels[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

static rds_door_channel* known(const rds_door* door, uint32_t id)
{
	const size_t at = find(door, id);

	return (at < door->count) && (door->channels[at].id == id) ? &door->channels[at] : NULL;
}

int rds_door_add(rds_door* door, uint32_t id)
{
	size_t at;

	if (door->count == door->capacity)
	{
		const size_t capacity = door->capacity ? door->capacity * 2 : 16;
		void* channels = realloc(door->channels, capacity * sizeof(rds_door_channel));

		if (!channels)
			return -1;

		door->channels = channels;
		door->capacity = capacity;
	}

	at = find(door, id);
	memmove(door->channels + at + 1, door->channels + at,
	        (door->count - at) * sizeof(rds_door_channel));
	door->channels[at] = (rds_door_channel){ .id = id };
	door->count++;
	return 0;
}

void rds_door_remove(rds_door* door, uint32_t id)
{
	rds_door_channel* channel = known(door, id);

	if (!channel)
		return;

	door->sum -= channel->longest;
	door->count--;
	memmove(channel, channel + 1,
	        (size_t)(door->channels + door->count - channel) * sizeof(rds_door_channel));
}

void rds_door_clear(rds_door* door)
{
	free(door->channels);
	door->channels = NULL;
	door->count = 0;
	door->capacity = 0;
	door->sum = 0;
}

rds_door_verdict rds_door_check(rds_door* door, const uint8_t* data, size_t size, uint32_t flags,
                                uint64_t* bytes)
{
	uint32_t id = 0;
	uint32_t length = 0;
	rds_door_channel* channel = NULL;

	if (flags & CHUNK_FIRST)
		door->length = 0;

	if (size > RDS_MAX_PDU - door->length)
	{
		*bytes = (uint64_t)door->length + size;
		return RDS_DOOR_PDU;
	}

	if (door->length < sizeof(door->head))
	{
		const size_t room = sizeof(door->head) - door->length;

		memcpy(door->head + door->length, data, size < room ? size : room);
	}

	door->length += size;

	if (door->length > 0)
		length = announced(door, &id);

	if (flags & CHUNK_LAST)
		door->length = 0;

	*bytes = length;

	if (length > door->limit)
		return RDS_DOOR_MESSAGE;

	channel = known(door, id); /* FreeRDP drops data of others */

	if (!channel || (length <= channel->longest))
		return RDS_DOOR_OPEN;

	*bytes = door->sum - channel->longest + length;

	if (*bytes > door->total)
		return RDS_DOOR_TOTAL;

	door->sum = *bytes;
	channel->longest = length;
	return RDS_DOOR_OPEN;
}
