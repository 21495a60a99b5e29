/* SPDX-License-Identifier: BSD-2-Clause */
/* Little-endian numbers and a checksum, for what is stored as bytes. */
#ifndef LEVEE_STORE_BLOB_H
#define LEVEE_STORE_BLOB_H

#include <stddef.h>
#include <stdint.h>

#define LEVEE_FNV_BEGIN 0xcbf29ce484222325ULL

static inline void levee_put_le64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t levee_get_le64(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

/* FNV-1a, 64 bits (draft-eastlake-fnv). Against accidents, not against people. */
static inline uint64_t levee_fnv(uint64_t sum, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 0x100000001b3ULL;
	return sum;
}

#endif
