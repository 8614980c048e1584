/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the door, run by TestDoor. */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 1
#define LAST 2

static int failures;

static void check(const char* what, uint64_t got, uint64_t want)
{
	if (got != want)
	{
		fprintf(stderr, "%s: %llu instead of %llu\n", what, (unsigned long long)got,
		        (unsigned long long)want);
		failures++;
	}
}

/* Gives the door the PDU in chunks of this size, each in memory of its own, and
 * returns the first refusal. */
static uint64_t pdu(rds_door* door, const uint8_t* data, size_t size, size_t chunk)
{
	for (size_t at = 0; at < size; at += chunk)
	{
		const size_t n = size - at < chunk ? size - at : chunk;
		const uint32_t flags = (at == 0 ? FIRST : 0) | (at + n == size ? LAST : 0);
		uint8_t* copy = malloc(n);
		uint64_t refused;

		if (!copy)
			abort();

		memcpy(copy, data + at, n);
		refused = rds_door_check(door, copy, n, flags);
		free(copy);

		if (refused)
			return refused;
	}

	return 0;
}

int main(void)
{
	rds_door door = { .limit = 1000 };
	uint8_t data[RDS_MAX_PDU + 1] = { 0 };

	for (size_t chunk = 1; chunk <= 12; chunk++)
	{
		/* Cmd 2; Len and cbId are the size of the length and the id. */
		const uint8_t large[] = { 0x2A, 1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF, 7, 7 };
		const uint8_t undefined[] = { 0x2F, 1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF };
		const uint8_t two[] = { 0x24, 1, 0xE9, 0x03, 7 };
		const uint8_t most[] = { 0x24, 1, 0xE8, 0x03, 7 };
		const uint8_t wide[] = { 0x29, 1, 2, 0xE8, 0x03, 0, 0, 7 };
		const uint8_t one[] = { 0x20, 1, 0xFF, 7 };
		const uint8_t data_pdu[] = { 0x3A, 1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF };
		const uint8_t cut[] = { 0x2A, 1, 2, 3, 4, 0xFF, 0xFF, 0xFF };

		check("4 GiB", pdu(&door, large, sizeof(large), chunk), 0xFFFFFFFF);
		check("undefined widths", pdu(&door, undefined, sizeof(undefined), chunk), 0xFFFFFFFF);
		check("one too many", pdu(&door, two, sizeof(two), chunk), 1001);
		check("the most", pdu(&door, most, sizeof(most), chunk), 0);
		check("the most, in 4 bytes", pdu(&door, wide, sizeof(wide), chunk), 0);
		check("one byte", pdu(&door, one, sizeof(one), chunk), 0);
		check("DYNVC_DATA", pdu(&door, data_pdu, sizeof(data_pdu), chunk), 0);
		check("a cut header", pdu(&door, cut, sizeof(cut), chunk), 0);
	}

	/* A PDU that does not end. */
	data[0] = 0x30;
	check("the longest PDU", rds_door_check(&door, data, RDS_MAX_PDU, FIRST), 0);
	check("a byte more", rds_door_check(&door, data, 1, 0), RDS_MAX_PDU + 1);
	check("one chunk", rds_door_check(&door, data, sizeof(data), FIRST | LAST), RDS_MAX_PDU + 1);
	check("the next", rds_door_check(&door, data, 10, FIRST | LAST), 0);
	check("an empty chunk", rds_door_check(&door, data, 0, FIRST | LAST), 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
