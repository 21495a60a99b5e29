/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * levee_find4() on all lanes at once, where the CPU can: every x86-64 has SSE2. The tables of one
 * data path are read and written through one of the two alone, because they differ in one case:
 * of several slots that match, which only 0.0.0.0 has and free slots with it, this gives the
 * lowest. Slots fill from 0 upwards, so it is found again where it was put, here as well.
 */
#ifndef LEVEE_DPDK_LANES_H
#define LEVEE_DPDK_LANES_H

#include <levee/count.h>

#ifdef __SSE2__
#include <emmintrin.h>

/** As levee_find4(): the slot that holds addr, or LEVEE_SLOTS. */
static inline uint32_t levee_lane4(const struct levee_bucket4 *bucket, uint32_t addr)
{
	__m128i held = _mm_load_si128((const __m128i *)(const void *)bucket->addr);
	__m128i equal = _mm_cmpeq_epi32(held, _mm_set1_epi32((int)addr));
	unsigned int lanes = (unsigned int)_mm_movemask_ps(_mm_castsi128_ps(equal));

	_Static_assert(LEVEE_SLOTS == 4, "lanes of 128 bits");
	return lanes ? (uint32_t)__builtin_ctz(lanes) : LEVEE_SLOTS;
}
#else
static inline uint32_t levee_lane4(const struct levee_bucket4 *bucket, uint32_t addr)
{
	return levee_find4(bucket, addr);
}
#endif

#endif
