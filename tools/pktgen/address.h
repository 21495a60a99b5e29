/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From the number of a source to its address, the same in user space and in the live-frame
 * program: the truth can then be computed from how far a counter came.
 */
#ifndef PKTGEN_ADDRESS_H
#define PKTGEN_ADDRESS_H

#include <levee/compiler.h>

/**
 * How the sources of a population lie in its prefix. The address of source k is
 *
 *	base + (place(k) << shift) + tail,    place(k) = k + first, or a permutation of k
 */
struct pktgen_plan {
	__u64 hi; /* base, as in struct levee_prefix */
	__u64 lo;
	__u64 first;  /* consecutive: place of source 0 */
	__u64 key[4]; /* of the permutation; [1] to [3] are odd */
	__u64 tail;   /* what stands below the step; IPv6: below bit 64 only */
	__u8 bits;    /* places: 2^bits; 0 to 64 */
	__u8 shift;   /* address bits below a step: 0 to 31 (IPv4), 0 to 127 (IPv6) */
	__u8 spread;  /* 1: permuted */
	__u8 family;  /* 4 or 6 */
	__u8 _pad[4]; /* always zero */
};

/*
 * A bijection on the numbers below 2^bits: every step (adding a key modulo 2, multiplying by an
 * odd number modulo 2^bits, folding the upper half into the lower) can be undone.
 */
levee_inline __u64 pktgen_permute(__u64 x, __u32 bits, const __u64 key[4])
{
	__u64 mask;
	__u32 half;

	if (bits == 0)
		return 0;
	if (bits > 64)
		bits = 64;
	mask = ~0ULL >> (64 - bits);
	half = (bits + 1) / 2;
	x = (x ^ key[0]) & mask;
	x = (x * key[1]) & mask;
	x ^= x >> half;
	x = (x * key[2]) & mask;
	x ^= x >> half;
	return (x * key[3]) & mask;
}

/* An address as a number, as in struct levee_prefix. */
struct pktgen_number {
	__u64 hi;
	__u64 lo;
};

/* Address of source k. */
levee_inline struct pktgen_number pktgen_address(const struct pktgen_plan *plan, __u64 k)
{
	__u64 place = plan->spread ? pktgen_permute(k, plan->bits, plan->key) : k + plan->first;
	struct pktgen_number a = { plan->hi, plan->lo };
	__u32 shift = plan->shift;

	if (plan->family == 4) {
		a.hi |= (place << (shift & 31)) | plan->tail;
		return a;
	}
	if (shift >= 64) {
		a.hi |= place << (shift & 63);
	} else {
		a.lo |= place << shift;
		if (shift)
			a.hi |= place >> (64 - shift);
	}
	a.lo |= plan->tail;
	return a;
}

#endif
