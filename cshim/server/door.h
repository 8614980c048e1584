/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Looks at DRDYNVC's PDUs before FreeRDP does. FreeRDP allocates, and clears, as
 * many bytes as the first PDU of a message announces, up to 4 GiB, before any of
 * them has arrived, and keeps them until the channel is closed; and a PDU that never
 * ends grows for ever.
 */
#ifndef PNPDR_CSHIM_SERVER_DOOR_H
#define PNPDR_CSHIM_SERVER_DOOR_H

#include <stddef.h>
#include <stdint.h>

/** The longest PDU: [MS-RDPEDYC] 3.1.5.1.4 allows 1600 bytes. */
#define RDS_MAX_PDU (64 * 1024)

/** An open dynamic channel. */
typedef struct
{
	uint32_t id;
	uint32_t longest; /**< of the messages that were announced, in bytes */
} rds_door_channel;

typedef struct
{
	uint32_t limit;  /**< bytes that a message may have */
	uint64_t total;  /**< bytes that the longest messages of all channels may have together */
	uint8_t head[9]; /**< how the PDU begins: its header at most */
	size_t length;   /**< of the PDU so far */

	rds_door_channel* channels; /**< sorted by id */
	size_t count;
	size_t capacity;
	uint64_t sum; /**< of what is longest on each channel */
} rds_door;

typedef enum
{
	RDS_DOOR_OPEN = 0, /**< FreeRDP may have it */
	RDS_DOOR_PDU,      /**< the PDU is too long */
	RDS_DOOR_MESSAGE,  /**< the message is too long */
	RDS_DOOR_TOTAL     /**< so are the messages of all channels together */
} rds_door_verdict;

/** Says that a channel is open. Returns 0, or -1 without memory. */
int rds_door_add(rds_door* door, uint32_t id);

/** Says that FreeRDP has freed a channel. Without effect for one that is unknown. */
void rds_door_remove(rds_door* door, uint32_t id);

/** Frees what door has allocated. */
void rds_door_clear(rds_door* door);

/**
 * Takes a chunk of the static channel drdynvc. flags are those of its channel PDU
 * header. If the verdict is not RDS_DOOR_OPEN, *bytes are too many, and the session
 * must end.
 */
rds_door_verdict rds_door_check(rds_door* door, const uint8_t* data, size_t size, uint32_t flags,
                                uint64_t* bytes);

#endif
