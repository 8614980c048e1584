/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

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

/* The length in the header of a DYNVC_DATA_FIRST, 0 for other PDUs and as long as
 * the header is incomplete. */
static uint32_t announced(const rds_door* door)
{
	const size_t at = 1 + width(door->head[0]);
	const size_t size = width(door->head[0] >> 2);
	uint32_t length = 0;

	if ((door->head[0] >> 4 != DYNVC_DATA_FIRST) || (door->length < at + size))
		return 0;

	for (size_t i = 0; i < size; i++)
		length |= (uint32_t)door->head[at + i] << (8 * i);

	return length;
}

uint64_t rds_door_check(rds_door* door, const uint8_t* data, size_t size, uint32_t flags)
{
	uint32_t length = 0;

	if (flags & CHUNK_FIRST)
		door->length = 0;

	if (size > RDS_MAX_PDU - door->length)
		return (uint64_t)door->length + size;

	if (door->length < sizeof(door->head))
	{
		const size_t room = sizeof(door->head) - door->length;

		memcpy(door->head + door->length, data, size < room ? size : room);
	}

	door->length += size;

	if (door->length > 0)
		length = announced(door);

	if (flags & CHUNK_LAST)
		door->length = 0;

	return length > door->limit ? length : 0;
}
