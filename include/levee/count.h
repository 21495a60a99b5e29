/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The counting table: exact packets and bytes per source, one writer, no locks.
 *
 * One table per CPU (or lcore), family and epoch: 2^bits buckets of four slots. A source has two
 * candidate buckets. It is looked for in the first, then in the second; if it is in neither, it
 * takes the slot with the fewest packets of the eight, and what stood there is appended to the
 * eviction log of the same CPU and epoch. Once the log is full the evicted value is folded into
 * the moments (n, sum, sum of squares) of `struct levee_fold`, and loses its name but not its
 * weight. Whoever drains the epoch adds up table and log: the sums are exact.
 *
 *	IPv4: 64 bytes, one cache line          IPv6: 128 bytes, keys in the first line
 *	+-----------------------------+         +-----------------------------+
 *	| addr[4]        packets[4]   |         | hi[4]          lo[4]        |
 *	| tally[4]                    |         | packets[4]     tally[4]     |
 *	+-----------------------------+         +-----------------------------+
 *
 * A tally is all else that is known of a source, in one word, so that a packet adds it at once:
 *
 *	bits 0 to 39    bytes on the wire, Ethernet header included, FCS not
 *	bits 40 to 62   TCP SYNs (SYN without ACK)
 *	bit 63          a TCP segment with ACK and without SYN was seen: it answers somebody
 *
 * A slot is moved to the log when it has LEVEE_SLOT_FULL packets, so no part of it overflows. The
 * SYNs and the last bit stay 0 unless the data path is told to look at TCP headers.
 *
 * A slot with packets == 0 is free. A source is never in both of its buckets, because a slot that
 * was taken is only ever replaced, not freed, before the epoch is drained and cleared.
 */
#ifndef LEVEE_COUNT_H
#define LEVEE_COUNT_H

#include <levee/compiler.h>

#define LEVEE_SLOTS 4

/* 2^21 frames of 2^19 bytes, the largest there are, would just pass 40 bits. A power of two. */
#define LEVEE_SLOT_FULL (1U << 21)

#define LEVEE_TALLY_BYTES    40
#define LEVEE_TALLY_SYN	     (1ULL << LEVEE_TALLY_BYTES)
#define LEVEE_TALLY_ANSWERED (1ULL << 63)

struct levee_bucket4 {
	__u32 addr[LEVEE_SLOTS];    /* the address's number, host order */
	__u32 packets[LEVEE_SLOTS]; /* 0: free */
	__u64 tally[LEVEE_SLOTS];
};

struct levee_bucket6 {
	__u64 hi[LEVEE_SLOTS];	    /* upper half of the prefix's number, host order */
	__u64 lo[LEVEE_SLOTS];	    /* lower half; 0 for prefixes up to /64 */
	__u64 packets[LEVEE_SLOTS]; /* 0: free */
	__u64 tally[LEVEE_SLOTS];
};

_Static_assert(sizeof(struct levee_bucket4) == LEVEE_CACHE_LINE, "layout of a pinned map");
_Static_assert(sizeof(struct levee_bucket6) == 2 * LEVEE_CACHE_LINE, "layout of a pinned map");

/* One entry of an eviction log. */
struct levee_evicted4 {
	__u32 addr;
	__u32 packets;
	__u64 tally;
};

struct levee_evicted6 {
	__u64 hi;
	__u64 lo;
	__u64 packets;
	__u64 tally;
};

_Static_assert(sizeof(struct levee_evicted4) == 16, "layout of a pinned map");
_Static_assert(sizeof(struct levee_evicted6) == 32, "layout of a pinned map");

/* Evicted values that found the log full: their moments, each evicted value one observation. */
struct levee_fold {
	__u64 n;
	__u64 packets;
	__u64 bytes;
	__u64 sq_lo; /* sum of squares of packets, lower 64 bits */
	__u64 sq_hi;
};

/**
 * Keys of the hash, random for each load so that nobody outside can aim at one bucket.
 * The three multipliers are odd.
 */
struct levee_hash_key {
	__u64 xor_in;
	__u64 mul_1;
	__u64 mul_2;
	__u64 mul_3;
};

/* Multiply-shift hashing (Dietzfelbinger et al., J. Algorithms 25(1), 1997): use the upper bits. */
levee_inline __u64 levee_hash4(const struct levee_hash_key *k, __u32 addr)
{
	return (addr ^ k->xor_in) * k->mul_1;
}

/* With nothing in the lower half, as for all sources up to /64, one word is hashed as for IPv4. */
levee_inline __u64 levee_hash6(const struct levee_hash_key *k, __u64 hi, __u64 lo)
{
	__u64 h = (hi ^ k->xor_in) * k->mul_1;

	if (!lo)
		return h;
	h ^= h >> 32;
	return (h + lo) * k->mul_3;
}

/* The second choice, independent of the first up to what mul_2 mixes. */
levee_inline __u64 levee_hash_again(const struct levee_hash_key *k, __u64 h)
{
	return (h ^ (h >> 29)) * k->mul_2;
}

/* Bucket of a hash in a table of 2^bits buckets; bits 0 to 31. */
levee_inline __u32 levee_bucket_of(__u64 hash, __u32 bits)
{
	return (__u32)((hash >> 32) >> (32 - bits));
}

/*
 * The same, to be shifted in one go: hash >> levee_shift4(bits) is the offset of the bucket in
 * bytes, and, in the bits below, some of the rest of the hash. Less than 2^32 for bits up to 24.
 */
levee_inline __u32 levee_shift4(__u32 bits)
{
	return 64 - 6 - bits;
}

levee_inline __u32 levee_shift6(__u32 bits)
{
	return 64 - 7 - bits;
}

/* 1 if x == 0, without a branch; x < 2^63. BPF has no conditional move. */
levee_inline __u32 levee_is_zero(__u64 x)
{
	return (__u32)((x - 1) >> 63);
}

/* The same for any x: of 0 alone both it and its negative are below 2^63. */
levee_inline __u32 levee_is_zero64(__u64 x)
{
	return (__u32)(~(x | (0 - x)) >> 63);
}

/**
 * Is addr in the bucket, and in which slot? A free slot whose stale address is addr is a hit, too:
 * counting there is inserting there.
 */
levee_inline __u32 levee_has4(const struct levee_bucket4 *b, __u32 addr, __u32 *slot)
{
	__u32 e0 = levee_is_zero((__u64)(b->addr[0] ^ addr));
	__u32 e1 = levee_is_zero((__u64)(b->addr[1] ^ addr));
	__u32 e2 = levee_is_zero((__u64)(b->addr[2] ^ addr));
	__u32 e3 = levee_is_zero((__u64)(b->addr[3] ^ addr));

	/*
	 * Several match only if addr is 0 and slots are free. Slots fill from 0 upwards and this
	 * then gives 3, so 0.0.0.0 is found again where it was put.
	 */
	*slot = (e1 | e3) | ((e2 | e3) << 1);
	return e0 | e1 | e2 | e3;
}

/* The same for IPv6, and in the same way: a loop over random slots guesses wrong every time. */
levee_inline __u32 levee_has6(const struct levee_bucket6 *b, __u64 hi, __u64 lo, __u32 *slot)
{
	__u32 e0 = levee_is_zero64((b->hi[0] ^ hi) | (b->lo[0] ^ lo));
	__u32 e1 = levee_is_zero64((b->hi[1] ^ hi) | (b->lo[1] ^ lo));
	__u32 e2 = levee_is_zero64((b->hi[2] ^ hi) | (b->lo[2] ^ lo));
	__u32 e3 = levee_is_zero64((b->hi[3] ^ hi) | (b->lo[3] ^ lo));

	*slot = (e1 | e3) | ((e2 | e3) << 1);
	return e0 | e1 | e2 | e3;
}

/*
 * Of a source with nothing in its lower half: may it be in the bucket, and in which slot? By half of
 * its upper half, which is to be compared whole then; if another source is there, one does not know.
 * Takes half as many instructions as levee_has6().
 */
levee_inline __u32 levee_may_have6(const struct levee_bucket6 *b, __u64 hi, __u32 *slot)
{
	__u32 half = levee_load32(&hi);
	__u32 e0 = levee_is_zero(levee_load32(&b->hi[0]) ^ half);
	__u32 e1 = levee_is_zero(levee_load32(&b->hi[1]) ^ half);
	__u32 e2 = levee_is_zero(levee_load32(&b->hi[2]) ^ half);
	__u32 e3 = levee_is_zero(levee_load32(&b->hi[3]) ^ half);

	*slot = (e1 | e3) | ((e2 | e3) << 1);
	return e0 | e1 | e2 | e3;
}

/** Slot that holds the source, or LEVEE_SLOTS. */
levee_inline __u32 levee_find4(const struct levee_bucket4 *b, __u32 addr)
{
	__u32 slot;

	return levee_has4(b, addr, &slot) ? slot : LEVEE_SLOTS;
}

levee_inline __u32 levee_find6(const struct levee_bucket6 *b, __u64 hi, __u64 lo)
{
	__u32 slot;

	return levee_has6(b, hi, lo, &slot) ? slot : LEVEE_SLOTS;
}

/* Slot with the fewest packets, the lowest of equals: a free one if there is one. */
levee_inline __u32 levee_least4(const struct levee_bucket4 *b)
{
	__u32 least = 0;

	for (__u32 i = 1; i < LEVEE_SLOTS; i++)
		if (b->packets[i] < b->packets[least & (LEVEE_SLOTS - 1)])
			least = i;
	return least;
}

levee_inline __u32 levee_least6(const struct levee_bucket6 *b)
{
	__u32 least = 0;

	for (__u32 i = 1; i < LEVEE_SLOTS; i++)
		if (b->packets[i] < b->packets[least & (LEVEE_SLOTS - 1)])
			least = i;
	return least;
}

levee_inline __u64 levee_tally_bytes(__u64 tally)
{
	return tally & (LEVEE_TALLY_SYN - 1);
}

levee_inline __u32 levee_tally_syns(__u64 tally)
{
	return (__u32)((tally & ~LEVEE_TALLY_ANSWERED) >> LEVEE_TALLY_BYTES);
}

/* The sum, without a branch; the uppermost bit is not carried out. */
levee_inline __u64 levee_tally_add(__u64 tally, __u64 more)
{
	return tally + (more & (~tally | ~LEVEE_TALLY_ANSWERED));
}

/* Add one anonymous value to the moments; the square of 64 bits carries into sq_hi. */
levee_inline void levee_fold_add(struct levee_fold *f, __u64 packets, __u64 bytes)
{
	__u64 lo = packets & 0xffffffffU, hi = packets >> 32;
	__u64 cross = lo * hi;
	__u64 sq = lo * lo;
	__u64 carry = hi * hi + ((cross >> 31));
	__u64 add = cross << 33;

	sq += add;
	carry += sq < add;
	f->n += 1;
	f->packets += packets;
	f->bytes += bytes;
	f->sq_lo += sq;
	f->sq_hi += carry + (f->sq_lo < sq);
}

#endif
