/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The policy table: who is allowed, who is blocked. User space compiles it, data paths look up.
 *
 * Every prefix, an exact address being a prefix of 32 or 128 bits, is a rule with an index. It is
 * found through a hash of (family, length, masked address); one bucket is one cache line of eight
 * 64-bit slots. Nearly every packet is answered before that, by bitmaps in front:
 *
 *	IPv4  near[address / 2^16]      8 KB   some rule touches this /16
 *	      wide[address / 2^16]      8 KB   a rule shorter than /24 does
 *	      mid4[h(upper 24 bits)]   64 KB   if not: a rule of /24 or longer may lie under this /24;
 *	                                       it stays in a core's own cache where the next one does not
 *	      far[address / 2^8]        2 MB   some rule touches this /24; only asked below a wide
 *	                                       /16, and when mid4 is crowded
 *	IPv6  near6[h(upper 32 bits)]   8 KB   a rule of /32 or longer may lie under this /32
 *	      wide6[address / 2^122]   1 word  a rule shorter than /32 touches this /6
 *	      top6[address / 2^112]     8 KB   if the latter: one touches this /16
 *	      short6[as near6]          8 KB   if the former: one of /32 to /47 may lie there
 *	      far6[h(upper 48 bits)]    2 MB   if not: one of /48 or longer may lie under this /48
 *
 * What passes is looked up by each length in use, longest first, and the first rule that is in
 * force decides. Because the allow list wins over every block, user space keeps blocks below an
 * allowed prefix out of the table; an allowed prefix below a block is longer, and found first.
 * A rule past its expiry counts as absent, so that a shorter one behind it still decides.
 *
 * Every change is one aligned 64-bit store, so readers need no lock. The index of a removed rule
 * is not given out again before every reader that might hold it has left.
 */
#ifndef LEVEE_POLICY_H
#define LEVEE_POLICY_H

#include <levee/compiler.h>
#include <levee/count.h>

#define LEVEE_NEAR_WORDS (65536 / 64)
#define LEVEE_MID4_BITS	 19
#define LEVEE_MID4_WORDS ((1 << LEVEE_MID4_BITS) / 64)
#define LEVEE_MID4_CROWD (1 << (LEVEE_MID4_BITS - 6)) /* bits that let 1.6 % through for nothing */
#define LEVEE_FAR_BITS	 24
#define LEVEE_FAR_WORDS	 ((1 << LEVEE_FAR_BITS) / 64)

#define LEVEE_POLICY_SLOTS 8
#define LEVEE_RULES_MAX	   (1 << 22) /* an index has 24 bits in a slot; memory ends sooner */

/* levee_rule.verdict */
enum levee_verdict {
	LEVEE_VERDICT_NONE = 0, /* the index is free, or no rule was found */
	LEVEE_VERDICT_ALLOW = 1,
	LEVEE_VERDICT_BLOCK = 2,
	LEVEE_VERDICT_LIMIT = 3, /* what is above its rate is dropped, the rest goes on */
};

#define LEVEE_NEVER 0xffffffffffffffffULL /* expires_ns of a rule that has no end */

/* Written by user space alone. One cache line, so that a hit costs one. */
struct levee_rule {
	__u64 hi; /* the prefix's number as in struct levee_packet, host bits zero */
	__u64 lo;
	__u64 expires_ns; /* CLOCK_BOOTTIME; from then on the rule counts as absent */
	__u64 created_ns; /* CLOCK_BOOTTIME */
	__u8 family;	  /* 4 or 6 */
	__u8 length;	  /* prefix length, 0 to 32 or 0 to 128 */
	__u8 verdict;	  /* enum levee_verdict */
	__u8 _pad[5];	  /* always zero */

	/* LIMIT: a token bucket, as the generic cell rate algorithm (ITU-T I.371, annex A). */
	__u64 interval_ns; /* between two packets at the rate that passes */
	__u64 slack_ns;	   /* what a burst may be ahead of it */
	__u64 next_ns;	   /* CLOCK_BOOTTIME at which the bucket is full; the data path's own */
};

_Static_assert(sizeof(struct levee_rule) == LEVEE_CACHE_LINE, "layout of a pinned map");

/* What one CPU (or lcore) dropped, or would have, by one rule. */
struct levee_hits {
	__u64 packets;
	__u64 bytes;
	__u64 first_ns; /* CLOCK_BOOTTIME of the first hit, 0 if none; precise */
	__u64 last_ns;	/* CLOCK_BOOTTIME of the last hit, as coarse as the kernel's tick */
};

_Static_assert(sizeof(struct levee_hits) == 32, "layout of a pinned map");

/*
 * A slot: 32 bits of tag, 8 bits of length + 1, 24 bits of rule index. 0 is free.
 * LEVEE_SLOT_GONE marks a removed rule in a bucket that has overflowed into its second choice.
 */
struct levee_policy_bucket {
	__u64 slot[LEVEE_POLICY_SLOTS];
};

_Static_assert(sizeof(struct levee_policy_bucket) == LEVEE_CACHE_LINE, "layout of a pinned map");

#define LEVEE_SLOT_GONE 0x00000000ff000000ULL

/* Prefix lengths in use, longest first. */
struct levee_lengths {
	__u32 n4;
	__u32 n6;
	__u8 len4[36];	/* n4 of them; 33 is the most */
	__u8 len6[132]; /* n6 of them; 129 is the most */
};

/*
 * What is asked before the table is, and the lengths in use: all that is small enough to be reached
 * without a look-up. What nearly every packet asks comes first.
 */
struct levee_front {
	__u64 wide6;
	__u64 near4[LEVEE_NEAR_WORDS];
	__u64 near6[LEVEE_NEAR_WORDS];
	__u64 top6[LEVEE_NEAR_WORDS];
	__u64 short6[LEVEE_NEAR_WORDS];
	__u64 wide4[LEVEE_NEAR_WORDS];
	__u64 mid4[LEVEE_MID4_WORDS];
	__u64 crowded4; /* 1: what passes mid4 is to be looked for in far4, too */
	struct levee_lengths lengths[2];
	__u32 in_use; /* which of the lengths holds */
	__u32 _pad;
};

levee_inline __u32 levee_mask4(__u32 length)
{
	return (__u32)(0xffffffff00000000ULL >> length);
}

/* Masks of the upper and lower 64 bits of a prefix of `length` bits, 0 to 128. */
levee_inline __u64 levee_mask6_hi(__u32 length)
{
	if (length >= 64)
		return ~0ULL;
	return length ? ~0ULL << (64 - length) : 0;
}

levee_inline __u64 levee_mask6_lo(__u32 length)
{
	if (length <= 64)
		return 0;
	return ~0ULL << (128 - length);
}

levee_inline __u64 levee_rule_hash4(const struct levee_hash_key *k, __u32 addr, __u32 length)
{
	return ((((__u64)length << 32) | addr) ^ k->xor_in) * k->mul_3;
}

levee_inline __u64 levee_rule_hash6(const struct levee_hash_key *k, __u64 hi, __u64 lo,
				    __u32 length)
{
	__u64 h = (hi ^ k->xor_in) * k->mul_2;

	h ^= h >> 32;
	h = (h + lo) * k->mul_1;
	h ^= h >> 32;
	return (h + length) * k->mul_3;
}

/* What a slot holds besides the index; an IPv6 tag may be shared, so its rule is compared. */
levee_inline __u64 levee_slot_tag4(__u32 addr, __u32 length)
{
	return ((__u64)addr << 32) | ((__u64)(length + 1) << 24);
}

levee_inline __u64 levee_slot_tag6(__u64 hash, __u32 length)
{
	return (hash << 32) | ((__u64)(length + 65) << 24);
}

levee_inline __u32 levee_slot_rule(__u64 slot)
{
	return (__u32)(slot & 0xffffff);
}

levee_inline int levee_slot_is(__u64 slot, __u64 tag)
{
	return (slot & ~0xffffffULL) == tag;
}

levee_inline int levee_bit(const __u64 *words, __u32 bit)
{
	return (int)((words[bit >> 6] >> (bit & 63)) & 1);
}

/* Bit of mid4 for the upper 24 bits of an address. */
levee_inline __u32 levee_mid4_bit(const struct levee_hash_key *k, __u32 addr)
{
	return (__u32)((((addr >> 8) ^ k->xor_in) * k->mul_1) >> (64 - LEVEE_MID4_BITS));
}

/* The upper 16 bits are the bit of near6 and short6 for the upper 32 bits of an address. */
levee_inline __u64 levee_near6_hash(const struct levee_hash_key *k, __u64 hi)
{
	return ((hi >> 32) ^ k->xor_in) * k->mul_1;
}

levee_inline __u32 levee_near6_bit(const struct levee_hash_key *k, __u64 hi)
{
	return (__u32)(levee_near6_hash(k, hi) >> 48);
}

/* The first question about an IPv6 source, which nearly every one answers with no. */
levee_inline int levee_near6(const struct levee_front *front, const struct levee_hash_key *k,
			     __u64 hi)
{
	return levee_bit(front->near6, levee_near6_bit(k, hi)) |
	       (int)((front->wide6 >> (hi >> 58)) & 1);
}

/* Bit of far6 for the upper 48 bits of an address. */
levee_inline __u32 levee_far6_bit(const struct levee_hash_key *k, __u64 hi)
{
	return (__u32)((((hi >> 16) ^ k->xor_in) * k->mul_2) >> (64 - LEVEE_FAR_BITS));
}

#endif
