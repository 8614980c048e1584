/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Looks at DRDYNVC's PDUs before FreeRDP does. FreeRDP allocates, and clears, as
 * many bytes as the first PDU of a message announces, up to 4 GiB, before any of
 * them has arrived; and a PDU that never ends grows for ever.
 */
#ifndef PNPDR_CSHIM_SERVER_DOOR_H
#define PNPDR_CSHIM_SERVER_DOOR_H

#include <stddef.h>
#include <stdint.h>

/** The longest PDU: [MS-RDPEDYC] 3.1.5.1.4 allows 1600 bytes. */
#define RDS_MAX_PDU (64 * 1024)

typedef struct
{
	uint32_t limit;  /**< bytes that a message may have */
	uint8_t head[9]; /**< how the PDU begins: its header at most */
	size_t length;   /**< of the PDU so far */
} rds_door;

/**
 * Takes a chunk of the static channel drdynvc. flags are those of its channel PDU
 * header. Returns 0 if FreeRDP may have it, otherwise the number of bytes that
 * are too many: the session must end.
 */
uint64_t rds_door_check(rds_door* door, const uint8_t* data, size_t size, uint32_t flags);

#endif
