/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the door, run by TestDoor. */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 1
#define LAST 2

static int failures;
static rds_door_verdict expected; /* of those that refuse */

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
		uint64_t bytes = 0;
		rds_door_verdict verdict;

		if (!copy)
			abort();

		memcpy(copy, data + at, n);
		verdict = rds_door_check(door, copy, n, flags, &bytes);
		free(copy);

		if (verdict != RDS_DOOR_OPEN)
		{
			check("the verdict", verdict, expected);
			return bytes;
		}
	}

	return 0;
}

/* Announces length bytes on a channel, both of them in 4 bytes. */
static uint64_t announce(rds_door* door, uint32_t id, uint32_t length)
{
	uint8_t data[] = { 0x2A,   id,          id >> 8,      id >> 16,     id >> 24,
		               length, length >> 8, length >> 16, length >> 24, 7 };

	return pdu(door, data, sizeof(data), sizeof(data));
}

/* The sum of the longest messages of all channels. */
static void test_total(void)
{
	rds_door door = { .limit = 1000, .total = 2500 };
	const uint32_t ids[] = { 7, 70000, 3, 1u << 31, 8 };

	expected = RDS_DOOR_TOTAL;
	check("a channel that is unknown", announce(&door, 3, 1000), 0);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		check("add", (uint64_t)rds_door_add(&door, ids[i]), 0);

	check("an unknown one among others", announce(&door, 4, 1000), 0);
	check("the first", announce(&door, 3, 1000), 0);
	check("the second", announce(&door, 70000, 1000), 0);
	check("the third", announce(&door, 1u << 31, 501), 2501);
	check("the third, shorter", announce(&door, 1u << 31, 500), 0);
	check("one byte", announce(&door, 8, 1), 2501);
	check("again, no longer", announce(&door, 3, 1000), 0);
	check("again, shorter", announce(&door, 3, 1), 0); /* FreeRDP keeps the memory */
	check("again, longer", announce(&door, 1u << 31, 501), 2501);
	rds_door_remove(&door, 4);
	rds_door_remove(&door, 3);
	check("once one is closed", announce(&door, 8, 1000), 0);
	check("one that is closed", announce(&door, 3, 1000), 0);
	check("the last byte", announce(&door, 7, 1), 2501);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		rds_door_remove(&door, ids[i]);

	check("nothing is open", door.sum + door.count, 0);

	for (uint32_t id = 0; id < 2000; id++)
	{
		check("add", (uint64_t)rds_door_add(&door, id * 7919 % 2000), 0);
		check("no room", announce(&door, id * 7919 % 2000, 2), door.sum == 2500 ? 2502 : 0);
	}

	check("all of it", door.sum, 2500);
	rds_door_clear(&door);
	check("cleared", door.sum + door.count, 0);
}

int main(void)
{
	uint64_t bytes = 0;
	rds_door door = { .limit = 1000 };
	uint8_t data[RDS_MAX_PDU + 1] = { 0 };

	expected = RDS_DOOR_MESSAGE;

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
	check("the longest PDU", rds_door_check(&door, data, RDS_MAX_PDU, FIRST, &bytes), 0);
	check("a byte more", rds_door_check(&door, data, 1, 0, &bytes), RDS_DOOR_PDU);
	check("how many", bytes, RDS_MAX_PDU + 1);
	check("one chunk", rds_door_check(&door, data, sizeof(data), FIRST | LAST, &bytes),
	      RDS_DOOR_PDU);
	check("how many in it", bytes, RDS_MAX_PDU + 1);
	check("the next", rds_door_check(&door, data, 10, FIRST | LAST, &bytes), 0);
	check("an empty chunk", rds_door_check(&door, data, 0, FIRST | LAST, &bytes), 0);
	test_total();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
